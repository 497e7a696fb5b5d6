"""Ids never step back, whatever wall time does."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from waypost.clock import Clock, Entropy, Uuid7Sequence

FORTY_EIGHT_BITS = 1 << 47


@given(st.lists(st.integers(min_value=0, max_value=FORTY_EIGHT_BITS), min_size=2, max_size=200))
def test_ids_strictly_increase_for_any_wall_time(times: list[int]) -> None:
    sequence = Uuid7Sequence(Entropy())
    ids = [sequence.next_hex(now) for now in times]
    assert ids == sorted(set(ids))
    for made in ids:
        assert len(made) == 32
        assert made[12] == "7"  # the version
        assert made[16] in "89ab"  # the variant


def test_the_counter_may_run_over() -> None:
    sequence = Uuid7Sequence(Entropy())
    ids = [sequence.next_hex(1_700_000_000_000) for _ in range(10_000)]
    assert ids == sorted(set(ids))


def test_an_id_carries_the_time_it_was_made() -> None:
    assert int(Uuid7Sequence(Entropy()).next_hex(1_700_000_000_000)[:12], 16) == 1_700_000_000_000


def test_threads_share_one_sequence() -> None:
    clock = Clock()
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda _: clock.message_id(), range(4_000)))
    assert len(set(ids)) == 4_000
    assert all(made.startswith("wamid.") and len(made) == 38 for made in ids)


@given(st.lists(st.integers(min_value=1, max_value=64), max_size=300))
def test_no_byte_of_chance_is_given_out_twice(numbers: list[int]) -> None:
    entropy = Entropy()
    taken = [entropy.take(number) for number in numbers]
    assert [len(part) for part in taken] == numbers
    long = [part for part in taken if len(part) >= 8]
    assert len(set(long)) == len(long)


FORKING = """
import os
from waypost.clock import Entropy
entropy = Entropy()
entropy.take(1)
reader, writer = os.pipe()
if os.fork() == 0:
    os.write(writer, entropy.take(32))
    os._exit(0)
os.wait()
assert os.read(reader, 32) != entropy.take(32)
"""


def test_a_forked_process_has_chance_of_its_own() -> None:
    ended = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
