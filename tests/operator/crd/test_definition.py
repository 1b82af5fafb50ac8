"""The CRD that is checked in is the one that the spec's models give, and it is what a reader needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from marketpipeline.spec import PipelineSpec, load_object
from marketpipeline_operator.crd import custom_resource_definition, custom_resource_definition_yaml
from marketpipeline_operator.install import documents

from tests.conftest import PROJECT

SCHEMA = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, part in schema.get("properties", {}).items():
        where = f"{path}.{name}" if path else name
        yield where, part
        yield from fields(part.get("items", part), where)


def test_the_files_are_those_of_the_code() -> None:
    crd = PROJECT / "crds" / "marketpipelines.marketpipeline.dev.yaml"
    assert crd.read_text() == custom_resource_definition_yaml(), "stale: run `make generate`"
    for name, things in documents().items():
        path = PROJECT / "manifests" / "operator" / name
        assert list(yaml.safe_load_all(path.read_text())) == things, f"{path} is stale: run `make generate`"


@pytest.mark.parametrize(
    ("path", "part"), list(fields(SCHEMA)), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_field_is_described_and_says_its_default(path: str, part: dict[str, Any]) -> None:
    if path == "metadata":
        return
    assert part["description"].endswith(".")
    default = part.get("default")
    if default is not None and part.get("type") != "object" and default != []:
        assert "Default: " in part["description"]


def test_the_schemas_defaults_are_the_models() -> None:
    smallest = load_object(
        {
            "apiVersion": "marketpipeline.dev/v1alpha1",
            "kind": "MarketPipeline",
            "metadata": {"name": "x"},
            "spec": {"symbols": ["binance:BTCUSDT"]},
        }
    )
    filled = _defaulted(SCHEMA["properties"]["spec"], {"symbols": ["binance:BTCUSDT"]})
    assert PipelineSpec.model_validate(filled) == smallest.spec


def _defaulted(schema: dict[str, Any], value: Any) -> Any:
    """What the API server does."""
    if schema.get("type") != "object" or not isinstance(value, dict) or "properties" not in schema:
        return value
    filled = dict(value)
    for name, part in schema["properties"].items():
        if name not in filled and "default" in part:
            filled[name] = part["default"]
        if name in filled:
            filled[name] = _defaulted(part, filled[name])
    return filled


def test_columns_scale_and_short_name() -> None:
    spec = custom_resource_definition()["spec"]
    version = spec["versions"][0]
    assert spec["names"]["shortNames"] == ["mp"]
    assert [column["name"] for column in version["additionalPrinterColumns"] if not column["priority"]] == [
        "Phase", "Ready", "Processes", "Flowing", "Symbols", "Problem", "Age",
    ]  # fmt: skip
    assert version["subresources"]["scale"]["specReplicasPath"] == ".spec.ingestion.replicas"
    for path, part in fields(SCHEMA["properties"]["spec"]):
        assert part.get("type") != "array" or "maxItems" in part, path
