"""What `waypost doctor` looks at, one after the other, and whom it asks."""

from pathlib import Path

import msgspec

from waypost.cli import doctor_checks, doctor_nats, doctor_shared
from waypost.cli.gateway_link import gateway_url, read_answer, running_gateway
from waypost.cli.run import CommandFailed, plain_failures, read_settings, run
from waypost.gateway.checkup import Finding
from waypost.service import check_up_offline
from waypost.settings import Settings, database_path, is_shared
from waypost.store.database_file import schema_version
from waypost.store.schema import newest_version


class Examined(msgspec.Struct):
    """What the admin API answers."""

    findings: list[Finding]


def examine(config: Path | None) -> list[Finding]:
    """Check everything that must be right before messages flow; changes nothing."""
    try:
        settings = read_settings(config)
    except CommandFailed as error:
        return [_problem("settings", error, "correct it; `waypost settings` lists all settings")]
    found = [
        *doctor_checks.about_settings(settings),
        *(_about_shared(settings) if is_shared(settings) else _about_embedded(settings)),
        *doctor_checks.about_meta(settings),
    ]
    try:
        with plain_failures():
            found += doctor_checks.about_gateway(settings, gateway_url(settings))
            found += _tenants(settings)
    except CommandFailed as error:
        found.append(_problem("gateway", error))
    return found


def _about_embedded(settings: Settings) -> list[Finding]:
    return [*doctor_checks.about_folder(settings), *doctor_checks.about_database(settings)]


def _about_shared(settings: Settings) -> list[Finding]:
    return [
        *doctor_shared.about_keys(settings),
        *doctor_shared.about_database(settings),
        *doctor_nats.about_nats(settings),
    ]


def _tenants(settings: Settings) -> list[Finding]:
    """Have the tenants and Meta's view of them checked: by the gateway that runs, else by opening the journal here."""
    link = running_gateway(settings)
    if link is not None:
        return read_answer(link.call("GET", "/admin/v1/checkup"), Examined).findings
    if not _has_journal(settings):
        return []  # that has been told already, and a look must neither make nor upgrade a database
    if not settings.secret_key and not (Path(settings.data_dir) / "secret-key").exists():
        return [
            Finding(
                status="warning",
                subject="tenants",
                found="not looked at: the data folder has no secret-key",
                advice="made with the first tenants; if there were some, restore it or set WAYPOST_SECRET_KEY",
            )
        ]
    return run(check_up_offline(settings))


def _has_journal(settings: Settings) -> bool:
    if is_shared(settings):
        return doctor_shared.has_journal(settings)
    path = database_path(settings)
    return path.is_file() and schema_version(path) == newest_version()


def _problem(subject: str, error: Exception, advice: str = "") -> Finding:
    return Finding(status="problem", subject=subject, found=str(error), advice=advice)
