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
from bench.failure import BenchFailed
from bench.load import Load
from bench.process import StackProcess
from bench.report import Report, Spread, Target
from bench.requests import Requests
from bench.rounds import Contender, Measured, Plan, Results
from bench.stacks import UNPINNED
from bench.upstream import LeanUpstream
from tests.docs.source import ROOT

STACKS = ["no-op", "proxy", "full"]
ROUNDS = 2
CONCURRENCY = 4
TINY = ("--rounds", str(ROUNDS), "--seconds", "0.01", "--warm-up", "0", "--concurrency", str(CONCURRENCY))


def run_bench(*options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *options], cwd=ROOT, capture_output=True, check=False, timeout=120
    )


def measured(rate: float, cpu_us: float = 100) -> Measured:
    return Measured(messages=100, messages_per_s=rate, p50_ms=1, p99_ms=2, cpu_us=cpu_us)


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


@pytest.mark.parametrize("upstream", ["lean", "simulator"])
def test_a_tiny_bench_measures_every_stack_in_every_round(upstream: str) -> None:
    run = run_bench(*TINY, "--upstream", upstream, "--json")
    assert (run.returncode, run.stderr) == (0, b"")
    told = msgspec.json.decode(run.stdout, type=Report)
    assert (told.plan.rounds, told.plan.concurrency, told.plan.upstream) == (ROUNDS, CONCURRENCY, upstream)
    assert list(told.stacks) == list(told.results.rounds) == STACKS
    for name, rounds in told.results.rounds.items():
        figures = told.stacks[name]
        assert len(rounds) == ROUNDS
        assert figures.messages == sum(one.messages for one in rounds) >= ROUNDS * CONCURRENCY
        for values in (figures.messages_per_s, figures.p50_ms, figures.p99_ms, figures.cpu_us):
            assert 0 < values.low <= values.median <= values.high
        assert all(one.p50_ms <= one.p99_ms for one in rounds)
    assert [(one.target.figure, one.target.over, one.target.under) for one in told.ratios] == [
        ("messages_per_s", "full", "no-op"),
        ("messages_per_s", "full", "proxy"),
        ("cpu_us", "full", "no-op"),
        ("cpu_us", "full", "proxy"),
    ]
    assert told.results.machine.cores >= 1
    assert told.results.machine.python == ".".join(map(str, sys.version_info[:3]))
    assert told.results.machine.flush_us > 0


def test_a_wrong_option_is_told_and_nothing_is_measured() -> None:
    run = run_bench("--rounds", "0")
    assert run.returncode == 2
    assert b"--rounds" in run.stderr


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    target = Target(figure="messages_per_s", over="full", under="proxy", aim=0.5, floor=0.4)
    rounds = {"full": [measured(50), measured(10), measured(45)], "proxy": [measured(100), measured(40), measured(100)]}
    assert report.ratio(target, rounds).measured == Spread(0.45, 0.25, 0.5)


@pytest.mark.parametrize(
    ("median", "more", "less"), [(2.0, "aim", "below"), (1.5, "aim", "below"), (1.2, "floor", "floor")]
)
def test_the_verdict_knows_which_way_is_better(median: float, more: str, less: str) -> None:
    rounds = {"full": [measured(median, median)], "no-op": [measured(1, 1)]}
    rate = Target(figure="messages_per_s", over="full", under="no-op", aim=1.5, floor=1.0)
    cpu = Target(figure="cpu_us", over="full", under="no-op", aim=1.0, floor=1.4, more_is_better=False)
    assert report.ratio(rate, rounds).verdict == more
    assert report.ratio(cpu, rounds).verdict == less


def test_the_table_for_people_holds_figures_targets_and_machine(tmp_path: Path) -> None:
    plan = Plan(rounds=1, seconds=1.5, warm_up_s=2, concurrency=64, upstream="lean", folder=None)
    rounds = {"no-op": [measured(4321, 30)], "proxy": [measured(1000, 60)], "full": [measured(600, 120)]}
    results = Results(machine.describe(tmp_path), pinned=True, steal_percent=None, rounds=rounds)
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
    ):
        assert words in shown


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
        await Contender(process, load, Requests(), upstream, 2).warm_up(0)
    load.close()
    await process.stop()
    await upstream.stop()


async def test_a_stack_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(BenchFailed, match=r"(?s)the stack nothing did not start: .*KeyError: 'nothing'"):
        await StackProcess.start("nothing", "http://127.0.0.1:1", tmp_path / "nothing", UNPINNED)
