"""A wrong value of the stack is refused by its name before anything is made, also one of its pipeline."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.helm.market_stack.conftest import STACK
from tests.helm.marketpipeline_operator.support import Helm

SCHEMA = json.loads((STACK / "values.schema.json").read_text())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"postgres": {}}, ["'postgres' not allowed"]),
        ({"timescaledb": {"enable": True}}, ["/timescaledb", "'enable' not allowed"]),
        ({"timescaledb": {"enabled": "yes"}}, ["/timescaledb/enabled", "got string, want boolean"]),
        ({"timescaledb": {"external": {"url": "mysql://u@h/d"}}}, ["/timescaledb/external/url", "'mysql://u@h/d'"]),
        ({"timescaledb": {"persistence": {"size": "10 GB"}}}, ["/timescaledb/persistence/size", "'10 GB'"]),
        ({"timescaledb": {"parameters": {"max_connections": 200}}}, ["/timescaledb/parameters/max_connections"]),
        ({"timescaledb": {"auth": {"password": "x"}}}, ["/timescaledb/auth", "'password' not allowed"]),
        ({"redis": {"external": {"url": "cache:6379"}}}, ["/redis/external/url", "'cache:6379'"]),
        ({"redis": {"maxMemory": "1GB"}}, ["/redis/maxMemory", "'1GB'"]),
        ({"redis": {"tls": {"secretName": "My_Secret"}}}, ["/redis/tls/secretName", "'My_Secret'"]),
        ({"redis": {"resources": {"request": {}}}}, ["/redis/resources", "'request' not allowed"]),
        ({"redpanda": {"external": {"bootstrapServers": "kafka"}}}, ["/redpanda/external/bootstrapServers", "'kafka'"]),
        ({"redpanda": {"external": {"saslMechanism": "GSSAPI"}}}, ["/redpanda/external/saslMechanism", "'GSSAPI'"]),
        ({"redpanda": {"memory": "1Gi"}}, ["/redpanda/memory", "'1Gi'"]),
        ({"redpanda": {"enabled": False}}, ["redpanda.external.bootstrapServers: must be given"]),
        ({"clickhouse": {"image": {"digest": "latest"}}}, ["/clickhouse/image/digest", "'latest'"]),
        ({"s3": {"bucket": "Market_Data"}}, ["/s3/bucket", "'Market_Data'"]),
        ({"s3": {"lake": True}}, ["s3.lake: needs a bucket"]),
        ({"grafana": {"plugins": "clickhouse"}}, ["/grafana/plugins", "got string, want array"]),
        ({"prometheus": {"retention": "15"}}, ["/prometheus/retention", "'15'"]),
        ({"prometheus": {"interval": "fast"}}, ["/prometheus/interval", "'fast'"]),
        ({"prometheus": {"alertmanager": {"enabled": True}}}, ["prometheus.alertmanager.enabled: needs prometheus"]),
        ({"simulator": {"enabled": True, "exchanges": ["okx"]}}, ["simulator.exchanges: the pipeline follows symbols"]),
        ({"simulator": {"port": 70000}}, ["/simulator/port", "maximum"]),
        ({"networkPolicies": {"from": {}}}, ["/networkPolicies/from", "got object, want array"]),
        ({"pipeline": {"name": "Crypto"}}, ["/pipeline/name", "'Crypto'"]),
        ({"pipeline": {"spec": {"symbol": ["binance:BTCUSDT"]}}}, ["/pipeline/spec", "'symbol' not allowed"]),
        ({"pipeline": {"spec": {"symbols": []}}}, ["/pipeline/spec/symbols", "minItems"]),
        ({"pipeline": {"spec": {"depth": {"levels": "all"}}}}, ["/pipeline/spec/depth/levels", "want integer"]),
        ({"pipeline": {"spec": {"thresholds": {"whaleTrade": -1}}}}, ["/pipeline/spec/thresholds/whaleTrade"]),
        ({"pipeline": {"spec": {"sinks": {"mysql": {}}}}}, ["/pipeline/spec/sinks", "'mysql' not allowed"]),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_refused_by_name(stack: Helm, values: dict[str, Any], words: list[str]) -> None:
    said = stack.refusal(**values)
    for word in words:
        assert word in said, said


def test_lint_is_content_with_the_chart(stack: Helm) -> None:
    done = stack("lint", "--strict", STACK)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_value_is_a_password() -> None:
    """Secrets are named; what opens a store is in no value, where `helm get values` would show it."""
    lines = (STACK / "values.yaml").read_text().splitlines()
    assert not [line for line in lines if line.strip().lower().startswith(("password:", "token:", "secretkey: s"))]


def test_values_and_schema_have_the_same_names_at_every_depth() -> None:
    def names(value: Any, schema: dict[str, Any], path: str) -> None:
        if path == "/pipeline/spec" or not isinstance(value, dict) or schema.get("additionalProperties") is not False:
            return
        if "additionalProperties" in schema and "properties" in schema:
            assert value.keys() == schema["properties"].keys() - ({"global"} if path == "" else set()), path
            for name, part in value.items():
                names(part, schema["properties"][name], f"{path}/{name}")

    names(yaml.safe_load((STACK / "values.yaml").read_text()), SCHEMA, "")


def test_the_readme_names_every_part_and_its_default() -> None:
    text = (STACK / "README.md").read_text()
    for part in ("redpanda", "timescaledb", "redis", "clickhouse", "s3", "grafana", "prometheus", "pipeline"):
        assert f"| `{part}.enabled` | `" in text
    assert '| `prometheus.alertmanager.image.repository` | `"prom/alertmanager"` |' in text
