"""A wrong or misspelt value is refused with its name; every value is described; helm's own lint is content."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from marketpipeline.plan import Component

from tests.helm.marketpipeline_operator.support import CHART, Helm

SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema with properties of its own, by its path."""
    if "properties" in schema:
        yield path, schema
        for name, part in schema["properties"].items():
            yield from objects(part, f"{path}/{name}")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replica": 2}, ["'replica' not allowed"]),
        ({"replicas": "2"}, ["/replicas", "got string, want integer"]),
        ({"replicas": -1}, ["/replicas", "minimum"]),
        ({"image": {"tagg": "1"}}, ["/image", "'tagg' not allowed"]),
        ({"image": {"digest": "latest"}}, ["/image/digest", "'latest'", "sha256:"]),
        ({"image": {"tag": "a b"}}, ["/image/tag", "'a b'"]),
        ({"image": {"repository": ""}}, ["/image/repository"]),
        ({"image": {"pullPolicy": "Sometimes"}}, ["/image/pullPolicy", "'Always', 'IfNotPresent', 'Never'"]),
        ({"images": {"overrides": {"apis": "x"}}}, ["/images/overrides", "'apis' not allowed"]),
        ({"namespaces": "market-data"}, ["/namespaces", "got string, want array"]),
        ({"namespaces": ["Market_Data"]}, ["/namespaces/0", "'Market_Data'"]),
        ({"namespaces": ["a", "a"]}, ["/namespaces", "equal"]),
        ({"logLevel": "debug"}, ["/logLevel", "'DEBUG', 'INFO', 'WARNING', 'ERROR'"]),
        ({"settings": {"reconcile": {"worker": 3}}}, ["/settings/reconcile", "'worker' not allowed"]),
        ({"settings": {"reconcile": {"workers": 0}}}, ["/settings/reconcile/workers", "minimum"]),
        ({"settings": {"namespaces": ["a"]}}, ["/settings", "'namespaces' not allowed"]),
        ({"crds": {"keep": "yes"}}, ["/crds/keep", "got string, want boolean"]),
        ({"env": [{"value": "x"}]}, ["/env/0", "missing property 'name'"]),
        ({"resources": {"request": {}}}, ["/resources", "'request' not allowed"]),
        ({"metrics": {"serviceMonitor": {"interval": "fast"}}}, ["/metrics/serviceMonitor/interval", "'fast'"]),
        ({"podDisruptionBudget": {"maxUnavailable": -1}}, ["/podDisruptionBudget/maxUnavailable", "minimum"]),
        ({"networkPolicy": {"egress": {}}}, ["/networkPolicy/egress", "got object, want array"]),
        ({"volumes": [7]}, ["/volumes/0", "got number, want object"]),
        ({"commonLabels": {"team": 7}}, ["/commonLabels/team", "got number, want string"]),
        ({"terminationGracePeriodSeconds": "30s"}, ["/terminationGracePeriodSeconds", "got string, want integer"]),
        ({"dashboards": {"stores": ["mysql"]}}, ["/dashboards/stores/0", "'clickhouse', 'prometheus', 'timescale'"]),
        ({"images": {"registry": ""}}, ["/images/registry"]),
        ({"rbac": {"create": 1}}, ["/rbac/create", "got number, want boolean"]),
        ({"tolerations": {"key": "a"}}, ["/tolerations", "got object, want array"]),
        ({"settings": {"lease": {"duration": -1}}}, ["/settings/lease/duration", "exclusiveMinimum"]),
        ({"podLabels": {"a": ["b"]}}, ["/podLabels/a", "got array, want string"]),
        ({"serviceAccount": {"create": False}}, ["serviceAccount.name: must be given"]),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_refused_by_name(helm: Helm, values: dict[str, Any], words: list[str]) -> None:
    said = helm.refusal(**values)
    for word in words:
        assert word in said, said


def test_lint_is_content_with_the_chart(helm: Helm) -> None:
    done = helm("lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout + done.stderr


def test_values_and_schema_have_the_same_names_at_every_depth() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def names(value: Any, schema: dict[str, Any], path: str) -> None:
        if path == "/settings" or not isinstance(value, dict) or schema.get("additionalProperties") is not False:
            return
        known = schema["properties"].keys() - ({"global"} if path == "" else set())
        if path not in ("/images/overrides", "/resources"):
            assert value.keys() == known, path
        for name, part in value.items():
            names(part, schema["properties"][name], f"{path}/{name}")

    names(values, SCHEMA, "")


def test_no_object_of_the_schema_takes_a_name_that_it_does_not_know() -> None:
    found = dict(objects(SCHEMA))
    assert {"", "/image", "/settings/reconcile", "/images/overrides"} <= found.keys()
    assert not [path for path, schema in found.items() if schema.get("additionalProperties") is not False]
    assert found["/images/overrides"]["properties"].keys() == set(Component)


def test_every_value_is_described() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"^( {2})?( {2})?[a-z][A-Za-z]*:", line)]
    described = [number for number in keys if lines[number - 1].strip().startswith("#")]
    inside = {"requests", "limits", "runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile"}
    inside |= {"allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities", "drop"}
    left = {lines[number].strip().partition(":")[0] for number in keys if number not in described}
    assert len(described) > 40
    assert left <= inside


def test_the_defaults_that_are_only_comments_are_taken_as_they_are(helm: Helm) -> None:
    """Whoever takes the `#` away has a valid file."""
    text = (CHART / "values.yaml").read_text()
    commented = text.partition("settings: {}\n")[2].partition("\n\n")[0]
    settings = yaml.safe_load(re.sub(r"^  # ", "", commented, flags=re.MULTILINE))
    assert settings["reconcile"]["workers"] == 8
    assert helm.render(settings=settings)
