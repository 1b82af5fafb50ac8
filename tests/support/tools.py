"""Programs that only tests run, compiled by `make setup-test` from tests/helm/tools."""

from __future__ import annotations

import shutil

from tests.conftest import PROJECT, require

__all__ = ["tool"]


def tool(name: str) -> str:
    """Path of the program: the pinned one, or the machine's own. The test skips, or fails in CI, where it is absent."""
    ours = PROJECT / ".cache" / "tools" / name
    found = str(ours) if ours.exists() else shutil.which(name)
    require(found, f"{name} is absent: make setup-test compiles it, with Go")
    assert found is not None
    return found
