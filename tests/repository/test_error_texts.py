"""Every error that a process ends with says what to do, or docs/errors.md does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.conftest import PROJECT

SOURCES = ("services", "operator", "flink-jobs/marketpipeline_job")
REMEDY = re.compile(
    r"(?:[;:,] |to |, or )(?:name|give|run|use|enable|write|check|install|restore|recover|rename|set|drop|add)\b"
    r"|is not given|is no private key|it holds what was flushed|PassphraseSecret: "
)
"""What a text has that says what to do, or of which field it is."""


ROWS = {
    line.split(" | ")[0].removeprefix("| ")
    for line in (PROJECT / "docs" / "errors.md").read_text().splitlines()
    if line.startswith("| ")
}


def texts() -> Iterator[str]:
    """Of each PermanentError that is made with one, … for what is put in."""
    for root in SOURCES:
        for file in (PROJECT / root).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "PermanentError" and node.args:
                    text = _text(node.args[0]).replace("\n", " ")
                    if text.strip("…: "):
                        yield text


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) for part in parts)
    return "…"


@pytest.mark.parametrize("text", sorted(set(texts())))
def test_an_error_says_what_to_do_or_has_a_row(text: str) -> None:
    assert REMEDY.search(text) or text in ROWS


def test_no_row_is_of_an_error_that_is_gone() -> None:
    assert ROWS - {"error"} <= set(texts())
