"""The bench reports what it measured, and reports nothing where a round was not exact."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from bench import machine, report
from bench.callbacks import Gateway
from bench.contender import Served
from bench.failure import BenchFailed
from bench.journal import Journal
from bench.load import Load
from bench.plan import Beside, Bulk, Measured, Measurement, Paced, Place, Plan
from bench.posts import MOST_UPDATES
from bench.process import StackProcess
from bench.receiver import Receiver
from bench.report import Report, Spread, Summary, Target
from bench.requests import Requests
from bench.rounds import MEASUREMENTS, Results
from bench.sending import Messages, Sent
from bench.stacks import PUSHES_AT_ONCE, UNPINNED
from bench.upstream import LeanUpstream
from tests.docs.source import ROOT

STACKS = {
    "send": ["no-op", "proxy", "full"],
    "queue": ["inline", "queue"],
    "webhooks": ["no-op", "full"],
    "callbacks": ["pushes", "full"],
    "isolation": ["alone", "other account", "same account"],
}
COMPARED = {
    "send": [("full", "no-op"), ("full", "proxy")],
    "queue": [("queue", "inline")],
    "webhooks": [("full", "no-op")],
    "callbacks": [("full", "pushes")],
    "isolation": [("other account", "alone"), ("same account", "alone")],
}
CONCURRENCY = 16
WAITING = 200
TINY = ("--seconds", "0.01", "--warm-up", "0", "--concurrency", str(CONCURRENCY), "--waiting", str(WAITING))


def run_bench(*options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *options], cwd=ROOT, capture_output=True, check=False, timeout=120
    )


LARGE = Bulk(posts=15, updates=1000, post_bytes=2_980_000, median_ms=70, max_ms=90, cpu_us=65)


def measured(rate: float, cpu_us: float = 100) -> Measured:
    return Measured(count=100, per_s=rate, p50_ms=1, p99_ms=2, cpu_us=cpu_us)


def steady(*, median_ms: float = 2.5, over_1_s: float = 0.0) -> Paced:
    return Paced(per_s=300, count=900, median_ms=median_ms, p99_ms=400, over_250_ms=0.02, over_1_s=over_1_s)


@asynccontextmanager
async def server_that_answers(answer: bytes) -> AsyncIterator[str]:
    """Run a server that answers each connection's first request with the same bytes and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}]}}")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def check_summary(name: str, rounds_asked: int, measurement: Measurement, summary: Summary) -> None:
    assert list(summary.stacks) == STACKS[name]
    assert sorted(measurement.rounds) == sorted(STACKS[name])
    for stack, rounds in measurement.rounds.items():
        figures = summary.stacks[stack]
        assert len(rounds) == rounds_asked
        assert figures.count == sum(one.count for one in rounds) >= rounds_asked * CONCURRENCY
        unseen = (name, stack) == ("queue", "queue") or name == "callbacks"  # no request waits for it
        seen = [figures.per_s, figures.cpu_us, *([] if unseen else [figures.p50_ms, figures.p99_ms])]
        for values in seen:
            assert values is not None
            assert 0 < values.low <= values.median <= values.high
        for one in rounds:
            assert (one.p50_ms is None) == (one.p99_ms is None) == unseen
            assert (one.p50_ms or 0) <= (one.p99_ms or 0)
    targets = [one.target for one in summary.ratios]
    for figure in ("per_s", "cpu_us"):
        assert [(target.over, target.under) for target in targets if target.figure == figure] == COMPARED[name]


async def measured_side_by_side(names: list[str], plan: Plan, folder: Path) -> Report:
    """Make measurements at the same time, which is quick, and report them as `--json` does."""
    places = [Place(folder / name, None, None) for name in names]
    for place in places:
        place.folder.mkdir()
    async with asyncio.TaskGroup() as tasks:
        made = {
            name: tasks.create_task(MEASUREMENTS[name](plan, place)) for name, place in zip(names, places, strict=True)
        }
    results = Results(machine.describe(folder), False, None, {name: task.result() for name, task in made.items()})
    told = report.build(plan, results)
    return msgspec.json.decode(msgspec.json.encode(told, enc_hook=str), type=Report)


async def test_a_tiny_bench_measures_every_stack_in_every_round(tmp_path: Path) -> None:
    others = [name for name in MEASUREMENTS if name != "send"]  # that is made by the test below, as a command
    plan = Plan(
        rounds=1, seconds=0.01, warm_up_s=0, concurrency=CONCURRENCY, upstream="lean", folder=None, waiting=WAITING
    )
    told = await measured_side_by_side(others, plan, tmp_path)
    assert ["send", *told.summaries] == ["send", *told.results.measurements] == list(STACKS)
    for name, summary in told.summaries.items():
        check_summary(name, 1, told.results.measurements[name], summary)
        assert (summary.paced is not None) == (summary.bulk is not None) == (name == "webhooks")
    paced = told.summaries["webhooks"].paced
    assert paced is not None
    assert (paced.per_s, paced.count) == (300, 9)
    assert 0 < paced.median_ms <= paced.p99_ms
    bulk = told.summaries["webhooks"].bulk
    assert bulk is not None
    assert (bulk.posts, bulk.updates) == (3, MOST_UPDATES)
    assert 0 < bulk.median_ms <= bulk.max_ms
    besides = {name: figures.beside for name, figures in told.summaries["isolation"].stacks.items()}
    assert besides.pop("alone") is None
    for beside in besides.values():
        assert beside is not None
        assert beside.overtaken >= WAITING
        assert 1 <= beside.hanging <= PUSHES_AT_ONCE
    assert told.results.machine.cores >= 1
    assert told.results.machine.python == ".".join(map(str, sys.version_info[:3]))
    assert told.results.machine.flush_us > 0


def test_one_measurement_can_be_made_alone_and_with_the_simulator() -> None:
    run = run_bench(*TINY, "--rounds", "2", "--upstream", "simulator", "--only", "send", "--json")
    assert (run.returncode, run.stderr) == (0, b"")
    told = msgspec.json.decode(run.stdout, type=Report)
    assert (told.plan.upstream, told.plan.only, list(told.summaries)) == ("simulator", "send", ["send"])
    check_summary("send", 2, told.results.measurements["send"], told.summaries["send"])


def test_a_wrong_option_is_told_and_nothing_is_measured() -> None:
    run = run_bench("--rounds", "0")
    assert run.returncode == 2
    assert b"--rounds" in run.stderr


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    target = Target(figure="per_s", over="full", under="proxy", aim=0.5, floor=0.4)
    rounds = {"full": [measured(50), measured(10), measured(45)], "proxy": [measured(100), measured(40), measured(100)]}
    assert report.ratio(target, rounds).measured == Spread(0.45, 0.25, 0.5)


@pytest.mark.parametrize(
    ("median", "more", "less"), [(2.0, "aim", "below"), (1.5, "aim", "below"), (1.2, "floor", "floor")]
)
def test_the_verdict_knows_which_way_is_better(median: float, more: str, less: str) -> None:
    rounds = {"full": [measured(median, median)], "no-op": [measured(1, 1)]}
    rate = Target(figure="per_s", over="full", under="no-op", aim=1.5, floor=1.0)
    cpu = Target(figure="cpu_us", over="full", under="no-op", aim=1.0, floor=1.4, more_is_better=False)
    assert report.ratio(rate, rounds).verdict == more
    assert report.ratio(cpu, rounds).verdict == less


def test_the_table_for_people_holds_figures_targets_and_machine(tmp_path: Path) -> None:
    plan = Plan(rounds=1, seconds=1.5, warm_up_s=2, concurrency=64, upstream="lean", folder=None)
    send = Measurement({"no-op": [measured(4321, 30)], "proxy": [measured(1000, 60)], "full": [measured(600, 120)]})
    webhooks = Measurement({"no-op": [measured(5000)], "full": [measured(1250)]}, steady(), LARGE)
    pushes = Measured(count=100, per_s=3000, cpu_us=200)
    callbacks = Measurement({"pushes": [pushes], "full": [Measured(count=100, per_s=2400, cpu_us=500)]})
    crowded = Measured(count=100, per_s=2850, cpu_us=105, p50_ms=2, p99_ms=3, beside=Beside(overtaken=500, hanging=8))
    isolation = Measurement({"alone": [measured(3000)], "other account": [crowded], "same account": [crowded]})
    measurements = {"send": send, "webhooks": webhooks, "callbacks": callbacks, "isolation": isolation}
    results = Results(machine.describe(tmp_path), pinned=True, steal_percent=None, measurements=measurements)
    console = Console(width=110, record=True, quiet=False, file=(tmp_path / "shown").open("w"))
    report.show(report.build(plan, results), console)
    console.file.close()
    shown = console.export_text()
    for words in (
        "4321 (4321-4321)",
        "0.60 (0.60-0.60)",
        "≥ 0.50",
        "aim met",
        "4.00",
        "floor met",
        "stolen",
        "uvicorn",
        "CPU µs/webhook",
        "0.25 (0.25-0.25)",
        "at 300/s: median 2.5 ms (goal ≤ 250), p99 400.0 ms, 2.0% above 250 ms, 0.0% above 1 s (goal < 1%): met\n",
        "callbacks/s, full / pushes",
        "2.50 (2.50-2.50)",
        "15 POSTs of 1000 updates and 2.98 MB: median 70 ms (goal ≤ 250), longest 90 ms, CPU 65 µs/update: met\n",
        "other account: 500 due callbacks overtaken in each round at least, while up to 8 tries hung\n",
        "callbacks/s, other account / alone        0.95",
        "median delay, same account / alone        2.00",
    ):
        assert words in shown


@pytest.mark.parametrize(
    ("paced", "said"),
    [
        (steady(median_ms=250, over_1_s=0.009), "met"),
        (steady(median_ms=251), "MISSED"),
        (steady(over_1_s=0.01), "MISSED"),
    ],
)
def test_metas_goal_is_a_quick_median_and_few_late_answers(paced: Paced, said: str) -> None:
    assert report.paced_line(paced).endswith(f": {said}")


async def test_requests_are_never_alike() -> None:
    requests = Requests()
    made = [*requests.make(50), *requests.make(50)]
    assert len(set(made)) == 100
    assert all(request.startswith(b"POST /api/wa/mt HTTP/1.1\r\n") for request in made)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{"code":9001}', "9001"),
        (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "HTTP 503"),
        (b"", "closed a connection"),
    ],
)
async def test_an_answer_other_than_code_0_ends_the_bench(answer: bytes, said: str) -> None:
    async with server_that_answers(answer) as url:
        load = Load(url, 1)
        await load.open()
        with pytest.raises(BenchFailed, match=said):
            await load.send(Requests().make(2))
        load.close()


async def test_a_round_is_void_if_meta_got_another_number_of_messages(tmp_path: Path) -> None:
    upstream = LeanUpstream()
    process = await StackProcess.start("no-op", await upstream.start(), tmp_path / "no-op", UNPINNED)
    load = Load(process.url, 2)
    await load.open()
    process.name = "proxy"  # which would have passed each message on
    with pytest.raises(BenchFailed, match=r"void round of proxy: 8 sent, 8 accepted, 0 arrived upstream instead of 8"):
        await Served(process, load, Messages(Requests(), upstream, True), 2).measure(0)
    load.close()
    await process.stop()
    await upstream.stop()


class Doubling(Receiver):
    """A receiver that is told of a callback twice."""

    def take(self, transport: asyncio.Transport, body: bytes) -> None:
        super().take(transport, body)
        if len(self.bodies) == 12:
            self.bodies.append(body)


async def test_a_round_is_void_if_a_callback_came_twice(tmp_path: Path) -> None:
    upstream, receiver = LeanUpstream(), Doubling()
    process = await StackProcess.start("full", await upstream.start(), tmp_path / "full", UNPINNED)
    messages, posts, journal = Load(process.url, 4), Load(process.url, 4, b"ok"), Journal(process.journal)
    await messages.open()
    await posts.open()
    sent = Sent(messages, Requests(await receiver.start()), upstream)
    with pytest.raises(BenchFailed, match=r"void round of full: 20 to deliver, \d+ arrived, in 2\d pushes"):
        await Gateway(process, receiver, sent, posts, journal).deliver(20)
    messages.close()
    posts.close()
    journal.close()
    await process.stop()
    await receiver.stop()
    await upstream.stop()


async def test_paced_requests_begin_when_they_fall_due_and_not_when_they_are_sent(tmp_path: Path) -> None:
    process = await StackProcess.start("no-op", "http://127.0.0.1:1", tmp_path / "no-op", UNPINNED)
    load = Load(process.url, 1)
    await load.open()
    block = await load.send(Requests().make(20), per_s=1e9)  # all due at once, and one at a time is sent
    assert len(block.latencies_s) == 20
    assert block.latencies_s == sorted(block.latencies_s)
    load.close()
    await process.stop()


async def test_a_stack_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(BenchFailed, match=r"(?s)the stack nothing did not start: .*KeyError: 'nothing'"):
        await StackProcess.start("nothing", "http://127.0.0.1:1", tmp_path / "nothing", UNPINNED)
