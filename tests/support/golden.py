"""Golden files: what was generated when somebody last read it. UPDATE_GOLDEN=1 writes them anew, to be read again."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["check_golden"]


def check_golden(path: Path, found: str, compared: Callable[[str], str] = str) -> None:
    """Fail, with the difference, where `found` is not what the file holds, by what is `compared` of both."""
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found)
    wanted, found = compared(path.read_text()), compared(found)
    told = difflib.unified_diff(wanted.splitlines(True), found.splitlines(True), path.name, "now", n=2)
    assert found == wanted, f"if it should: run this test with UPDATE_GOLDEN=1\n{''.join(told)}"
