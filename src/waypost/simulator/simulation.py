"""All parts of one simulated Meta, wired together; nothing here knows about ports."""

from waypost.simulator.clock import Clock, Dice
from waypost.simulator.config import Config
from waypost.simulator.faults import Faults
from waypost.simulator.graph import GraphApi
from waypost.simulator.journal import Journal
from waypost.simulator.limits import RateLimits
from waypost.simulator.media import MediaStore
from waypost.simulator.objects import Objects
from waypost.simulator.schedule import Schedule
from waypost.simulator.sending import Books, Sender
from waypost.simulator.statuses import Statuses
from waypost.simulator.transmitter import Transmitter
from waypost.simulator.windows import Windows
from waypost.simulator.world import World


class Simulation:
    """The parts, public for the control API."""

    def __init__(self, seed: int | None, clock: Clock) -> None:
        self.clock = clock
        self.dice = Dice(seed)
        self.schedule = Schedule(self.clock)
        self.journal = Journal()
        self.faults = Faults()
        self.world = World(Config())
        self.limits = RateLimits(self.clock)
        self.windows = Windows(self.clock)
        self.media = MediaStore(self.world, self.clock, self.dice)
        self.transmitter = Transmitter(lambda: self.world.config, self.clock, self.schedule, self.journal, self.dice)
        self.statuses = Statuses(self.world, self.schedule, self.faults, self.transmitter)
        books = Books(self.world, self.journal, self.limits, self.windows, self.media)
        self.sender = Sender(books, self.clock, self.dice, self.faults, self.statuses)
        self.graph = GraphApi(books, self.clock, self.dice, self.sender, Objects(self.world))

    def empty(self) -> None:
        """Forgets everything but the configuration: messages, logs, limits, windows, media, what was due, the time."""
        self.journal.clear()
        self.faults.clear()
        self.limits.clear()
        self.windows.clear()
        self.media.clear()
        self.schedule.clear()
        self.transmitter.forget()
        self.clock.reset()
        self.world.declare(self.world.config)
