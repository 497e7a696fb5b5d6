"""Settings come from environment and file; what is unknown or malformed stops the start with a clear line."""

import os
from pathlib import Path

import msgspec
import pytest

from waypost.settings import PREFIX, Settings, SettingsInvalid, database_path, describe, load


def test_the_defaults_need_nothing() -> None:
    settings = load({})
    assert settings == Settings()
    assert database_path(settings) == Path("waypost-data/waypost.db")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "waypost.toml"
    file.write_text('data_dir = "/from/file"\nmax_in_flight = 7\nlog_recipients = true\n')
    settings = load({"WAYPOST_DATA_DIR": "/from/environment", "PATH": "x"}, file)
    assert (settings.data_dir, settings.max_in_flight, settings.log_recipients) == ("/from/environment", 7, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOBODY_KNOWS_THIS", "1"),
        ("MAX_IN_FLIGHT", "0"),
        ("MAX_IN_FLIGHT", "many"),
        ("SETTLE_WITHIN", "-1"),
        ("SETTLE_WITHIN", "nan"),
        ("META_READ_TIMEOUT", "inf"),
        ("ALLOW_PRIVATE_CALLBACKS", "perhaps"),
        ("META_BASE_URL", "graph.facebook.com"),
        ("META_BASE_URL", "http://[::1"),
        ("META_BASE_URL", "http://h:99999"),
        ("META_BASE_URL", "http://h/?a=1"),
        ("META_BASE_URL", "http://user@h/"),
        ("META_API_VERSION", "v26.0\n"),
        ("META_API_VERSION", "26"),
        ("SECRET_KEY", "short"),
        ("ADMIN_TOKEN", "kürzel-token"),
        ("ADMIN_TOKEN", "short"),
        ("DATABASE_URL", "mysql://x/y"),
        ("DATABASE_URL", "mysql://x"),
        ("DATABASE_URL", "postgresql://u:p/w@h/db"),
        ("DATABASE_URL", "postgresql://u:1/w@h/db"),
        ("DATABASE_URL", "postgresql://[::1/db"),
        ("DATABASE_URL", "postgresql://h:99999/db"),
        ("DATABASE_URL", "postgresql://h/db?nonsense"),
        ("DATABASE_URL", "postgresql://u:p#w@h/db"),
        ("NATS_URL", "nats://x"),
        ("NATS_PREFIX", "Capital"),
        ("NATS_PREFIX", "-x"),
        ("NATS_PREFIX", "a" * 33),
        ("LOG_LEVEL", "loud"),
        ("DATA_DIR", ""),
        ("MAX_IN_FLIGHT", "9" * 5000),
        ("MAX_IN_FLIGHT", "٣"),
        ("MAX_IN_FLIGHT", os.fsdecode(b"\xff")),
        ("LOG_LEVEL", os.fsdecode(b"\xff")),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load({PREFIX + name: value})
    assert PREFIX + name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot read the settings file"):
        load({}, tmp_path / "missing.toml")


@pytest.mark.parametrize(
    "content",
    [b"\xff = 1", b"a = ", b"max_in_flight = " + b"9" * 5000, b"a = " + b"[" * 5000, b"\0"],
    ids=lambda content: repr(content[:12]),
)
def test_the_settings_file_may_not_be_nonsense(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "waypost.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsInvalid, match="cannot read the settings file"):
        load({}, file)


def test_every_setting_has_a_help_text() -> None:
    for field in msgspec.structs.fields(Settings):
        assert describe(field.name).endswith(".")
