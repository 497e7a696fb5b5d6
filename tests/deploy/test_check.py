"""The command that makes the checks: what it says, and how it ends."""

import pytest

from tests.deploy import check, gateway_words
from tests.deploy.conftest import Artefacts
from tests.deploy.report import Report


def test_a_check_that_is_named_is_made_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["units"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "units: ok"
    assert all(line.startswith(("  checked: ", "  not checked: ")) for line in lines[1:])


def test_a_check_that_does_not_exist_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["unit"]) == 2
    assert "no check is called unit; there are image, " in capsys.readouterr().err


def test_something_wrong_ends_the_command_with_1(
    artefacts: Artefacts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "ROOT", artefacts.root)
    artefacts.slip("deploy/systemd/waypost.service", "User=waypost", "User=root")
    assert check.main(["units"]) == 1
    assert "  WRONG: waypost.service: it runs as root" in capsys.readouterr().out.splitlines()


def test_an_artefact_of_an_unknown_shape_is_wrong_and_no_traceback(artefacts: Artefacts) -> None:
    (artefacts.root / "deploy/grafana/waypost.json").write_text("[]")
    (artefacts.root / "deploy/systemd/waypost.service").unlink()
    (artefacts.root / "deploy/haproxy/haproxy.cfg").unlink()
    assert any("it could not be looked at to the end" in words for words in check.run("balancer", artefacts.root).wrong)
    assert any("units: " in words for words in check.run("units", artefacts.root).wrong)


def test_a_check_that_looked_at_nothing_is_wrong() -> None:
    report = Report()
    report.not_checked("anything: nothing is at hand")
    assert report.lines("idle") == [
        "idle: 1 wrong",
        "  not checked: anything: nothing is at hand",
        "  WRONG: the check looked at nothing",
    ]


def test_the_time_to_end_in_follows_from_the_settings() -> None:
    assert gateway_words.longest_request_s({}) == 45
    assert gateway_words.longest_request_s({"WAYPOST_META_READ_TIMEOUT": "60", "WAYPOST_LOG_LEVEL": "info"}) == 75
    assert gateway_words.grace_misfit(46, {}) is None
    assert gateway_words.grace_misfit(46, {}, pause_s=1) is not None
