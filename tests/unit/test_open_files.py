"""A gateway opens as many files as it may, and says so where that is few."""

import resource
import subprocess
import sys

import pytest

from waypost.open_files import WANTED

ASK = "from waypost.open_files import allow_open_files; print(allow_open_files())"


@pytest.mark.parametrize(
    ("soft", "hard", "most"), [(256, 4_096, 4_096), (4_096, 4_096, 4_096), (256, 1_000_000, WANTED)]
)
def test_the_limit_is_raised_as_far_as_it_may_be(soft: int, hard: int, most: int) -> None:
    _, ours = resource.getrlimit(resource.RLIMIT_NOFILE)
    if ours != resource.RLIM_INFINITY:
        hard, most = min(hard, ours), min(most, ours)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard), hard))

    done = subprocess.run([sys.executable, "-c", ASK], preexec_fn=limit, capture_output=True, text=True, check=True)
    told = done.stdout.splitlines()
    assert int(told[-1]) == most
    assert ("few_open_files" in done.stdout + done.stderr) == (most < WANTED)
