"""YAML artefacts: linted, and read into plain objects."""

from pathlib import Path
from typing import Any

import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from tests.deploy.report import Report

_RULES = YamlLintConfig(
    """
    extends: default
    rules:
      braces: { min-spaces-inside: 1, max-spaces-inside: 1, min-spaces-inside-empty: 0 }
      comments: { min-spaces-from-content: 1 }
      document-start: disable
      line-length: { max: 125 }
      truthy: { check-keys: false }
    """
)


def documents(path: Path, report: Report) -> list[dict[str, Any]]:
    """Return the documents of a file; none, and words in the report, if it is not well-formed."""
    text = path.read_text("utf-8")
    problems = list(linter.run(text, _RULES))
    for problem in problems:
        report.bad(f"{path.name}:{problem.line}: {problem.desc}")
    if any(problem.rule is None for problem in problems):  # no rule broken, but the syntax
        return []
    return [document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]
