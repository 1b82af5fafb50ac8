"""What all Dockerfiles have in common: one base, pinned by digest, and a user that is not root."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import PROJECT

DOCKERFILES = sorted([*PROJECT.glob("images/*/Dockerfile"), *PROJECT.glob("tests/cluster/images/*/Dockerfile")])


def test_all_start_from_the_same_base_pinned_by_digest() -> None:
    bases = {re.findall(r"^ARG BASE=(.*)$", file.read_text(), flags=re.MULTILINE)[0] for file in DOCKERFILES}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.1[12]-slim-bookworm@sha256:[0-9a-f]{64}", bases.pop())


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.parent.name)
def test_every_stage_is_a_pinned_one_and_the_last_is_not_root(file: Path) -> None:
    text = file.read_text()
    known = {"${BASE}"} | set(re.findall(r"^FROM .* AS (\w+)$", text, flags=re.MULTILINE))
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    assert {stage.split()[0] for stage in stages} <= known
    users = re.findall(r"^USER (\d+)", stages[-1], flags=re.MULTILINE)
    assert users
    assert int(users[-1]) > 0


def test_the_java_of_flink_and_of_kafka_is_made_the_same_way() -> None:
    """To the letter, so that its layers are made once."""
    flink, kafka = PROJECT / "images/flink-job/Dockerfile", PROJECT / "tests/cluster/images/kafka/Dockerfile"
    made = [file.read_text().partition(" AS java\n")[2].partition("FROM ")[0] for file in (flink, kafka)]
    assert made[0]
    assert made[0] == made[1]
