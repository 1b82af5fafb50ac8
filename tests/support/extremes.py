"""The ends of what the spec allows, field by field: whoever turns a spec into something has to bear each of them.

Numbers, choices and lists follow from the spec's own bounds. What is text has its ends here, by the form that it has; a
field of another form fails `test_every_field_has_its_ends` by name, unless it has `examples`.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from marketpipeline.sink_kinds import sink_kinds
from marketpipeline.spec import PipelineSpec
from marketpipeline.topics import EXCHANGE_FEEDS, Feed

__all__ = ["EXTREMES", "FIELDS", "Extreme"]


@dataclass(frozen=True)
class Extreme:
    """A spec at one end of one field; `spec` is whole."""

    path: str
    value: Any
    spec: dict[str, Any] = field(hash=False)

    def __str__(self) -> str:
        shown = str(self.value)
        return f"{self.path}={shown if len(shown) <= 24 else f'{shown[:21]}...'}"


def _long(start: str, length: int) -> str:
    return start + "x" * (length - len(start))


SYMBOL = "binance:BTCUSDT"
DURATIONS = ("1ms", "99999d")
TEXTS: dict[str, tuple[Any, ...]] = {
    "symbols": (["binance:A"], [f"binance:S{number:04}USDT" for number in range(1000)]),
    "exclude": ([], ["binance:*"], [f"binance:*{number:03}USDT" for number in range(200)]),
    "feeds": (*([feed.value] for feed in EXCHANGE_FEEDS), ["book", "raw"], [feed.value for feed in Feed]),
    "broker.bootstrapServers": ("b:1", ",".join(f"{number}.{'x' * 63}.example:65535" for number in range(20))),
    "broker.topicPrefix": ("x", "x" * 100),
    "broker.cluster": ("x", "x" * 253),
    "broker.namespace": ("x", "x" * 63),
    "broker.username": ("u", "u" * 253),
    "processing.checkpointDirectory": ("/", _long("s3://bucket/", 1024)),
    "processing.savepoints.schedule": ("* * * * *", ",".join(["0-59/9"] * 12) + " 23 31 12 7"),
    "processing.initialSavepoint": ("/", _long("s3://bucket/", 1024)),
    "processing.reset": ("1", "x" * 63),
    "processing.checkpointClaim": ("x", "x" * 253),
    "processing.s3.endpoint": ("http://h", _long("https://h/", 2048)),
    "processing.s3.region": ("x", "x" * 63),
    "processing.serviceAccount": ("x", "x" * 253),
    "processing.flinkConfiguration": (
        {},
        {f"x.{number:02}.{'k' * 195}": "v" * 1024 for number in range(64)},
    ),
    "processing.allowedLateness": ("1ms", "59999ms"),
    "ingestion.websocketUrls": ({}, {"binance": _long("wss://example/", 2048)}),
    "ingestion.websocketFallbacks": ({}, {"binance": [_long(f"wss://example{n}/", 2048) for n in range(8)]}),
    "ingestion.restUrls": ({}, {"binance": _long("https://example/", 2048)}),
    "maintenance.windows": ([], [{"schedule": "0 2 * * 6", "duration": "99999d"}] * 16),
    "hibernation.schedule": ("* * * * *", ",".join(["0-59/9"] * 12) + " 23 31 12 7"),
    "hibernation.wake": ("* * * * *", "0 7 29 2 *"),
    "hibernation.timeZone": ("UTC", "America/Argentina/ComodRivadavia"),
    "backup.url": ("s3://b/p", _long("file:///", 1024)),
    "backup.endpoint": ("http://h", _long("https://h/", 2048)),
    "backup.region": ("x", "x" * 63),
    "backup.schedule": ("* * * * *", "0 2 * * *"),
    "recovery.url": ("s3://b/p", _long("file:///", 1024)),
    "recovery.endpoint": ("http://h", _long("https://h/", 2048)),
    "recovery.region": ("x", "x" * 63),
    "thresholds.overrides": ({}, {SYMBOL: {"whaleTrade": 1e300, "imbalance": {"high": 1}}}),
    "patterns": (
        [],
        [
            {"name": f"p{n}", "sequence": ["whaleTrade", "extremeImbalance"] * 4, "within": "10m", "severity": "MEDIUM"}
            for n in range(50)
        ],
    ),
    "api.cors.allowOrigins": ([], ["*"], [_long("https://a", 260)]),
    "api.trustedProxies": ([], ["10.0.0.0/8"], ["fd00::/8", "127.0.0.1"] * 32),
    "sinks.timescale.url": ("postgresql://h/d", _long("postgresql://h/d?options=", 2048)),
    "sinks.clickhouse.url": ("http://h/d", f"https://{'u' * 100}@{'h' * 63}.example:65535/{'d' * 63}"),
    "sinks.clickhouse.cluster.name": ("c", "c" * 63),
    "sinks.clickhouse.cluster.path": ("/{table}", _long("/{table}/", 253)),
    "sinks.clickhouse.cluster.replica": ("r", "r" * 253),
    "sinks.lake.url": ("s3://b/p", _long("file:///", 1024)),
    "sinks.lake.endpoint": ("http://h", _long("https://h/", 2048)),
    "sinks.lake.region": ("x", "x" * 63),
    "sinks.notify.alertmanager.url": ("http://h", _long("https://example/", 2048)),
    "sinks.notify.webhook.url": ("http://h", _long("https://example/", 2048)),
    "sinks.snowflake.account": ("a", "a" * 255),
    "sinks.redis.url": ("redis://h", f"rediss://{'h' * 63}.example:65535/15"),
}
"""By path. Where a bound crosses two fields the end is that which the other's default allows."""
BY_NAME: dict[str, tuple[Any, ...]] = {
    "cpu": ("1m", "0.5", "64"),
    "memory": ("1Mi", "1.5Gi", "1Ti"),
    "rules": ([], ["whale_trade"]),
    "symbols": ([], ["binance:BTCUSDT"]),
    "name": ("x", "x" * 253),
    "secretName": ("x", "x" * 253),
    "key": ("x", "x" * 253),
    "certificate": ("x", "x" * 253),
    "accessKeyId": ("x", "x" * 253),
    "labels": ({"team": "x"},),
    "annotations": ({"note": "x" * 4096},),
    "nodeSelector": ({"disk": "fast"},),
    "tolerations": ([{"key": "only", "effect": e, "operator": "Exists"} for e in ("NoSchedule", "NoExecute")],),
    "affinity": ({"podAntiAffinity": {}},),
    "topologySpreadConstraints": ([],),
    "priorityClassName": ("x" * 253,),
    "securityContext": ({"supplementalGroups": [1]},),
    "env": ([{"name": "A", "value": "b"}],),
    "imagePullSecrets": (["x"],),
    "secretAccessKey": ("x", "x" * 253),
}
"""By the last part of the path, wherever it is."""
ALONG: dict[str, dict[str, Any]] = {
    "depth.calculate": {"depth.levels": 100},
    "depth.levels": {"depth.calculate": 1},
    "depth.source": {"depth.levels": 20},
    "thresholds.imbalance.medium": {"thresholds.imbalance.high": 1},
    "thresholds.imbalance.high": {"thresholds.imbalance.medium": 1e-9},
    "broker.provider": {"broker.cluster": "c"},
    "broker.namespace": {"broker.cluster": "c"},
    "broker.passwordSecret.name": {"broker.username": "u"},
    "broker.caSecret.name": {"broker.tls": True},
    "broker.caSecret.key": {"broker.tls": True, "broker.caSecret.name": "s"},
    "broker.clientCertificateSecret.name": {"broker.tls": True},
    "broker.clientCertificateSecret.certificate": {"broker.tls": True, "broker.clientCertificateSecret.name": "s"},
    "broker.clientCertificateSecret.key": {"broker.tls": True, "broker.clientCertificateSecret.name": "s"},
    "processing.s3.credentialsSecret.accessKeyId": {"processing.s3.credentialsSecret.name": "s"},
    "processing.s3.credentialsSecret.secretAccessKey": {"processing.s3.credentialsSecret.name": "s"},
    "sinks.clickhouse.cluster.path": {"sinks.clickhouse.cluster.name": "c"},
    "sinks.clickhouse.cluster.replica": {"sinks.clickhouse.cluster.name": "c"},
    "sinks.clickhouse.cluster.quorum": {"sinks.clickhouse.cluster.name": "c"},
    "dashboard.enabled": {"dashboard.apiKeySecret.name": "s"},
    "dashboard.apiKeySecret.key": {"dashboard.apiKeySecret.name": "s"},
    "dashboard.apiCaSecret.key": {"dashboard.apiCaSecret.name": "s"},
    "broker.passwordSecret.key": {"broker.username": "u", "broker.passwordSecret.name": "s"},
}
"""What has to be so that the other may be at its end."""
ALONG |= {
    f"{part}.scaling.min": {f"{part}.scaling.max": 64}
    for part in ("ingestion", "processing", *(f"sinks.{name}" for name in sink_kinds()))
}
_RESTS = {"schedule": "0 22 * * *", "wake": "0 3 * * *"}
ALONG |= {
    f"hibernation.{part}": {f"hibernation.{other}": at for other, at in _RESTS.items() if other != part}
    for part in (*_RESTS, "timeZone")
}
_PLACED = ("endpoint", "region", "pathStyle", "schedule", "keep")
ALONG |= {f"{place}.{part}": {f"{place}.url": "s3://b/p"} for place in ("backup", "recovery") for part in _PLACED}
ALONG |= {
    f"{place}.credentialsSecret.{part}": {f"{place}.url": "s3://b/p", f"{place}.credentialsSecret.name": "s"}
    for place in ("backup", "recovery")
    for part in ("name", "accessKeyId", "secretAccessKey")
}
_ROUTED = ("severities", "rules", "symbols")
ALONG |= {
    f"sinks.notify.{c}.{part}": {f"sinks.notify.{c}Secret.name": "s"}
    for c in ("slack", "pagerduty")
    for part in _ROUTED
}
ALONG |= {
    f"sinks.notify.{c}.{part}": {f"sinks.notify.{c}.url": "http://h"}
    for c in ("alertmanager", "webhook")
    for part in _ROUTED
}


Schema = dict[str, Any]


def _leaves(schema: Schema, definitions: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    if "anyOf" in schema:
        schema = next(part for part in schema["anyOf"] if part.get("type") != "null")
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "properties" not in schema:
        yield path, schema
        return
    for name, part in schema["properties"].items():
        yield from _leaves(part, definitions, f"{path}.{name}" if path else name)


def _ends(path: str, schema: Schema, definitions: Schema) -> tuple[Any, ...]:
    last = path.rpartition(".")[2]
    if path in TEXTS or last in BY_NAME:
        return TEXTS.get(path) or BY_NAME[last]
    if "enum" in schema:
        return tuple(schema["enum"])
    if "examples" in schema:
        return tuple(schema["examples"])
    match schema["type"]:
        case "boolean":
            return (False, True)
        case "integer":
            return (schema["minimum"], schema["maximum"])
        case "number":
            least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1e-9)
            return (least, schema.get("maximum", 1e300))
        case "array":
            items = schema["items"]
            choices = (definitions[items["$ref"].rpartition("/")[2]] if "$ref" in items else items)["enum"]
            least_items = [choices[: schema["minItems"]]] if "minItems" in schema else [[]]
            return (*least_items, *([choice] for choice in choices), choices)
        case "string" if "ms|s" in schema.get("pattern", ""):
            return (*DURATIONS, "forever") if "forever" in schema["pattern"] else DURATIONS
    return ()


def _along_in_a_sink(path: str) -> dict[str, Any]:
    """What a sink's section needs beside the field: the name of a Secret, and an example of each required field."""
    if not path.startswith("sinks."):
        return {}
    kind = sink_kinds()[path.split(".")[1]]
    reference, _, named = path.rpartition(".")
    found = {f"{reference}.name": "s"} if reference.endswith("Secret") and named != "name" else {}
    fields = kind.spec.model_fields
    needed = {field.alias: field.examples for field in fields.values() if field.is_required()}
    for name in kind.cluster_needs:
        alias = fields[name].alias
        if alias != path.split(".")[2]:
            needed |= {f"{alias}.name": ["s"]} if name in kind.secrets.values() else {alias: fields[name].examples}
    return found | {f"sinks.{kind.name}.{alias}": (examples or [None])[0] for alias, examples in needed.items()}


def _along_a_limit(path: str) -> dict[str, Any]:
    """A limit is not below what is requested."""
    requested = {"cpu": "1m", "memory": "1Mi"}
    resources, found, what = path.partition(".limits.")
    return {f"{resources}.{what}": requested[what]} if found else {}


def _spec(path: str, value: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"symbols": [SYMBOL]}
    for where, what in {**_along_in_a_sink(path), **_along_a_limit(path), path: value, **ALONG.get(path, {})}.items():
        *groups, last = where.split(".")
        place = made
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = deepcopy(what)
    return made


_DOCUMENT = PipelineSpec.model_json_schema(by_alias=True)
_DEFINITIONS = _DOCUMENT["$defs"]
FIELDS = {path: _ends(path, schema, _DEFINITIONS) for path, schema in _leaves(_DOCUMENT, _DEFINITIONS)}
"""Every field of the spec, and its ends."""

EXTREMES = [Extreme(path, value, _spec(path, value)) for path, ends in FIELDS.items() for value in ends]
