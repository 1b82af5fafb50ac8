"""These tests need the toys to be installed before anything of the project is imported: tests/toys/test_toys.py."""

from __future__ import annotations

from importlib.util import find_spec

from tests.support.broker import broker  # noqa: F401

collect_ignore_glob = [] if find_spec("toys") else ["test_*.py"]
