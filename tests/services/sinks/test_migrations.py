"""The migrations of every sink that has some, and which of them a store lacks."""

from __future__ import annotations

import pytest
from marketpipeline.errors import PermanentError
from marketpipeline.sinks.migrations import in_package, missing

PACKAGES = ("marketpipeline.sinks.snowflake", "marketpipeline.sinks.timescale")


@pytest.mark.parametrize("package", PACKAGES)
def test_versions_are_numbered_without_a_gap(package: str) -> None:
    known = in_package(package)
    assert known[0].name == "tables"
    assert "CREATE TABLE" in known[0].sql
    assert [migration.version for migration in known] == list(range(1, len(known) + 1))


def test_a_store_lacks_what_came_after_its_version_and_may_not_be_further_on() -> None:
    known = in_package(PACKAGES[1])
    assert missing(known, 0, "the schema") == list(known)
    assert missing(known, 2, "the schema") == list(known[2:])
    assert missing(known, known[-1].version, "the schema") == []
    newer = known[-1].version + 1
    with pytest.raises(PermanentError, match=f"the schema is version {newer}, this release knows up to {newer - 1}: "):
        missing(known, newer, "the schema")
