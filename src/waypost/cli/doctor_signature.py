"""`waypost doctor signature`: why the signature of a request does not fit."""

import re
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from waypost.cli.run import AsJson, CommandFailed
from waypost.cli.terminal import printable
from waypost.protocol.diagnose import Diagnosis, Finding, SignedRequest, diagnose
from waypost.protocol.signing import ALGORITHM_HEADER, REQUIRED_HEADERS, SECRET_MASK, SignedHeaders

STDIN = Path("-")
_REQUEST_LINE = re.compile(r"[A-Z]+ \S+ HTTP/")
_CURL_MARK = re.compile(r"^> ?")  # `curl -v` puts it before what it sends


def signature(
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="A header of the request, as 'Name: value'; repeat it.")
    ] = None,
    headers_file: Annotated[
        Path | None,
        typer.Option(help="File with the request's headers, one a line, as `curl -v` or a proxy shows them."),
    ] = None,
    body_file: Annotated[
        Path | None, typer.Option(help="File with the raw body, byte by byte as it was sent; - reads it from stdin.")
    ] = None,
    secret: Annotated[
        str, typer.Option(envvar="CUSTOMER_ACCESS_SECRET", help="The account's accessSecret; never printed.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Say why a request is answered 1003: show what has to be signed, where it differs, and the likeliest cause.

    Exits 0 if the signature fits. The environment variable keeps the secret out of the shell's history.
    """
    if not secret:
        raise typer.BadParameter("give --secret, or set CUSTOMER_ACCESS_SECRET")
    lines = list(header or [])
    if headers_file is not None:
        lines = [*_head_of(_read(headers_file).decode("utf-8", "surrogateescape")), *lines]
    headers = _headers(lines)
    body = b"" if body_file is None else sys.stdin.buffer.read() if body_file == STDIN else _read(body_file)
    diagnosis = _shown(diagnose(_request(headers, body), secret), secret)
    if as_json:
        print(msgspec.json.encode(_as_data(diagnosis)).decode())
    else:
        print("\n".join(_as_lines(diagnosis)))
    if not diagnosis.matches:
        causes = dict.fromkeys(finding.cause for finding in diagnosis.findings)
        raise CommandFailed(f"the signature does not fit: {', '.join(causes)}")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CommandFailed(f"cannot read {file}: {error.strerror}") from None


def _head_of(text: str) -> list[str]:
    """Return the header lines of a pasted request: without its first line, up to the first empty one."""
    lines = [_CURL_MARK.sub("", line) for line in text.lstrip("\r\n").splitlines()]
    if lines and _REQUEST_LINE.match(lines[0]):
        del lines[0]
    end = next((number for number, line in enumerate(lines) if not line.strip()), len(lines))
    return lines[:end]


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise typer.BadParameter(f"a header is 'Name: value', not {printable(line)!r}")
        headers[name.strip().lower()] = value.strip(" \t\r")
    return headers


def _request(headers: dict[str, str], body: bytes) -> SignedRequest:
    missing = [name for name in REQUIRED_HEADERS if not headers.get(name.lower())]
    if missing:
        raise CommandFailed(
            f"missing: {', '.join(missing)}; a request without them is answered 1001 (is that all of them?)"
        )
    return SignedRequest(
        headers=SignedHeaders(headers["accesskey"], headers["action"], headers["biztype"], headers["ts"]),
        signature=headers["sign"],
        algorithm=headers.get(ALGORITHM_HEADER),
        content_type=headers.get("content-type"),
        body=body,
    )


def _shown(diagnosis: Diagnosis, secret: str) -> Diagnosis:
    """Return the diagnosis as it may be shown.

    The secret is masked wherever it stands: who has swapped key and secret has put it into a header.
    """

    def clean(text: str) -> str:
        return printable(text.replace(secret, SECRET_MASK))

    def cleaned(finding: Finding) -> Finding:
        place = finding.difference
        if place is not None:
            place = place._replace(expected=clean(place.expected), signed=clean(place.signed))
        return Finding(finding.cause, clean(finding.explanation), place)

    return Diagnosis(
        diagnosis.matches, clean(diagnosis.canonical), [cleaned(finding) for finding in diagnosis.findings]
    )


def _as_lines(diagnosis: Diagnosis) -> list[str]:
    lines = [f"to be signed: {diagnosis.canonical}", ""]
    lines += [line for finding in diagnosis.findings for line in _finding_lines(finding)]
    return [*lines, "the signature fits"] if diagnosis.matches else lines


def _finding_lines(finding: Finding) -> list[str]:
    lines = [f"{finding.cause}: {finding.explanation}"]
    if finding.difference is not None:
        position, expected, signed = finding.difference
        lines += [
            f"  from byte {position} on",
            f"    to be signed: {expected or '(nothing)'}",
            f"    was signed:   {signed or '(nothing)'}",
        ]
    return lines


def _as_data(diagnosis: Diagnosis) -> dict[str, object]:
    findings = [
        {**finding._asdict(), "difference": finding.difference and finding.difference._asdict()}
        for finding in diagnosis.findings
    ]
    return {"matches": diagnosis.matches, "canonical": diagnosis.canonical, "findings": findings}
