"""The examples of NxCloud's Send Message page: requests, answers and the table of codes, as the page prints them."""

import json
from pathlib import Path

_HERE = Path(__file__).parent


def _texts(folder: str) -> dict[str, bytes]:
    return {file.stem: file.read_bytes() for file in sorted((_HERE / folder).glob("*.json"))}


EXAMPLES: dict[str, bytes] = _texts("requests")  # name → body
RESPONSES: dict[str, bytes] = _texts("responses")  # name → answer
CODES: dict[str, str] = json.loads((_HERE / "codes.json").read_text())  # code → message
SECTIONS: dict[str, dict[str, str]] = json.loads((_HERE / "index.json").read_text())  # folder → name → heading
