"""Each end of each field of the spec has its objects, of which every one is within what Kubernetes takes."""

from __future__ import annotations

import json
import re

import pytest
from marketpipeline_operator.builders import build

from tests.operator.builders.support import context_of
from tests.support.extremes import EXTREMES, Extreme

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


@pytest.mark.parametrize("extreme", EXTREMES, ids=str)
def test_it_is_built(extreme: Extreme) -> None:
    made = build(context_of(**extreme.spec))
    for thing in made:
        metadata = thing["metadata"]
        assert NAME.fullmatch(metadata["name"]), metadata["name"]
        assert all(LABEL.fullmatch(value) for value in metadata["labels"].values())
        assert len(json.dumps(thing)) < 1_000_000, "more than an object may have"
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in made]
    assert len(names) == len(set(names))
