"""One process owns a data folder; what it keeps there is whole or absent."""

import os
import stat
from pathlib import Path

import pytest

from waypost.data_dir import DataDir, DataDirBusy, DataDirUnusable


async def test_a_second_owner_is_refused_and_told_who_owns_it(tmp_path: Path) -> None:
    first, second = DataDir(tmp_path), DataDir(tmp_path)
    await first.lock()
    first.announce("http://127.0.0.1:1234")
    with pytest.raises(DataDirBusy, match=f"process {os.getpid()}") as caught:
        await second.lock()
    assert caught.value.owner is not None
    assert caught.value.owner.url == "http://127.0.0.1:1234"
    assert (await second.owner()) == caught.value.owner
    first.release()
    await second.lock()
    second.release()
    assert await first.owner() is None


async def test_what_a_dead_owner_announced_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text('{"pid":1,"url":"http://127.0.0.1:1"}')
    assert await DataDir(tmp_path).owner() is None


async def test_nobody_owns_a_folder_that_is_not_there(tmp_path: Path) -> None:
    folder = DataDir(tmp_path / "missing")
    assert await folder.owner() is None
    assert not folder.path.exists()


async def test_a_new_folder_and_its_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = DataDir(tmp_path / "a" / "b")
    await folder.lock()
    made, is_new = folder.secret("token")
    assert is_new
    assert len(made) >= 32
    assert folder.secret("token") == (made, False)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.path / "token").stat().st_mode) == 0o600
    folder.release()


async def test_what_a_crash_left_half_written_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".token.new").write_text("ha")
    made, is_new = DataDir(tmp_path).secret("token")
    assert is_new
    assert (tmp_path / "token").read_text().strip() == made


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
async def test_a_damaged_secret_is_never_replaced_silently(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret-key").write_bytes(content)
    with pytest.raises(DataDirUnusable, match="secret-key"):
        DataDir(tmp_path).secret("secret-key")
    assert (tmp_path / "secret-key").read_bytes() == content


async def test_a_path_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirUnusable, match="WAYPOST_DATA_DIR"):
        await DataDir(tmp_path / "file").lock()
