"""Each field of the resource says what it means, and each default is valid by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest
from marketpipeline.spec import MarketPipeline, PipelineSpec, load_object
from pydantic import BaseModel

IN_KUBERNETES_TERMS = {"namespace", "labels", "annotations"}


def fields(model: type[BaseModel], path: str) -> Iterator[tuple[str, str | None, bool]]:
    """Path, description and whether it has a default, of every field below `model`."""
    for name, info in model.model_fields.items():
        here = f"{path}.{info.alias or name}"
        yield here, info.description, not info.is_required()
        for candidate in (info.annotation, *get_args(info.annotation)):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                yield from fields(candidate, here)


SPEC = list(fields(PipelineSpec, "spec"))


def test_the_walk_finds_the_leaves() -> None:
    paths = {path for path, _, _ in SPEC}
    assert {"spec.depth.calculate", "spec.thresholds.imbalance.high", "spec.retention.tables.compressAfter"} <= paths


@pytest.mark.parametrize(("path", "description"), [(path, description) for path, description, _ in SPEC])
def test_every_field_says_what_it_means(path: str, description: str | None) -> None:
    assert description, f"{path} has no description"
    assert description.endswith((".", ";")), f"{path}: {description!r} is no sentence"


def test_only_the_symbols_are_required() -> None:
    required = {path for path, _, has_default in SPEC if not has_default}
    secrets = {path for path in required if path.endswith("Secret.name")}
    sinks = {path for path in required if path.startswith("spec.sinks.")}
    patterns = {"spec.patterns.name", "spec.patterns.sequence"}
    optional = {"spec.backup.url", "spec.recovery.url", "spec.maintenance.windows.schedule"}
    optional |= {"spec.hibernation.schedule", "spec.hibernation.wake"}
    needed = required - secrets - sinks - patterns - optional
    assert needed == {"spec.symbols"}, "what is absent by default, and a reference to a Secret, says what it is"


def test_metadata_is_described_but_for_what_kubernetes_describes() -> None:
    undescribed = {name for name, info in MarketPipeline.model_fields["metadata"].annotation.model_fields.items()  # type: ignore[union-attr]
                   if not info.description}  # fmt: skip
    assert undescribed <= IN_KUBERNETES_TERMS


def test_the_defaults_are_valid_when_written_out() -> None:
    """pydantic does not check defaults: a default that a user could not write would go unnoticed."""
    head = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "x"}}
    pipeline = load_object(head | {"spec": {"symbols": ["binance:BTCUSDT"]}})
    written = pipeline.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert load_object(head | {"spec": written}) == pipeline
