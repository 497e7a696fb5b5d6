"""Several gateway processes on one machine, behind one listening socket."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable

_SHORTEST_S = 5.0  # a process that ends sooner than this did not start
_MOST_FAILURES = 3
_DEATH_SIGNAL = 1  # prctl's option PR_SET_PDEATHSIG


def run_processes(number: int, work: Callable[[], None]) -> int:
    """Run a function in so many processes until Ctrl-C or SIGTERM, and return the exit code.

    One that ends without being asked is started anew; if some end as soon as they have started, all are stopped. A
    signal is handed on, and all are waited for.
    """
    return _Processes(work).run(number)


class _Processes:
    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._started: dict[int, float] = {}
        self._stopping = False
        self._failures = 0
        self._code = 0

    def run(self, number: int) -> int:
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, self._stop)
        for _ in range(number):
            self._start()
        while self._started:
            pid, status = os.wait()
            began_s = self._started.pop(pid, None)
            if began_s is None or self._stopping:
                continue
            lived_s = time.monotonic() - began_s
            self._failures = self._failures + 1 if lived_s < _SHORTEST_S else 0
            said = f"process {pid} ended ({os.waitstatus_to_exitcode(status)}) after {lived_s:.0f} s"
            if self._failures == _MOST_FAILURES:
                print(f"waypost: {said}, as did others before it; all are stopped", file=sys.stderr, flush=True)
                self._code = 1
                self._stop()
            else:
                print(f"waypost: {said}; another one is started", file=sys.stderr, flush=True)
                self._start()
        return self._code

    def _stop(self, *_: object) -> None:
        self._stopping = True
        for pid in self._started:
            os.kill(pid, signal.SIGTERM)

    def _start(self) -> None:
        sys.stdout.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._started[pid] = time.monotonic()
            if self._stopping:  # the signal came while it was started
                os.kill(pid, signal.SIGTERM)
            return
        code = 1
        try:
            for one in (signal.SIGTERM, signal.SIGINT):
                signal.signal(one, signal.SIG_DFL)
            _end_with(parent)
            self._work()
            code = 0
        except SystemExit as asked:
            code = asked.code if isinstance(asked.code, int) else 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # what is behind the fork is the other process's


def _end_with(parent: int) -> None:
    """Have this process asked to stop if its parent is killed, where the system can do that."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(1)
