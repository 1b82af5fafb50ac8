"""Every wrong MarketPipeline gives an error that names the field, the value, the place and what would be right."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.errors import InvalidSpec, Problem
from marketpipeline.spec import MarketPipeline, load_file, load_object, load_text

GOOD = """\
apiVersion: marketpipeline.dev/v1alpha1
kind: MarketPipeline
metadata:
  name: crypto
spec:
  symbols:
    - binance:BTCUSDT
    - binance:ETHUSDT
"""


def problems(text: str) -> list[Problem]:
    with pytest.raises(InvalidSpec) as caught:
        load_text(textwrap.dedent(text), "crypto.yaml")
    assert str(caught.value).startswith("crypto.yaml:\n")
    return caught.value.problems


def problem(text: str) -> Problem:
    (only,) = problems(text)
    return only


def with_spec(lines: str) -> str:
    return GOOD + textwrap.indent(textwrap.dedent(lines), "  ")


def test_three_fields_suffice() -> None:
    pipeline = load_text(GOOD)
    assert pipeline.name == "crypto"
    assert pipeline.topic_prefix == "crypto"
    assert pipeline.spec.exchanges == ["binance"]
    assert pipeline.spec.symbols == ["binance:BTCUSDT", "binance:ETHUSDT"]


@pytest.mark.parametrize(
    ("lines", "field", "value", "line", "column", "says"),
    [
        ("depht: {levels: 10}", "spec.depht", {"levels": 10}, 9, 3, "did you mean 'depth'?"),
        ("depth: {level: 10}", "spec.depth.level", 10, 9, 11, "did you mean 'levels'?"),
        ("depth:\n  calculate: 30", "spec.depth", {"calculate": 30}, 9, 3, "depth.calculate (30) must be at most"),
        ("depth:\n  levels: 0", "spec.depth.levels", 0, 10, 5, "must be greater than or equal to 1"),
        (
            "thresholds:\n  imbalance: {medium: 0.8, high: 0.6}",
            "spec.thresholds.imbalance",
            {"medium": 0.8, "high": 0.6},
            10,
            5,
            "medium (0.8) must be at most thresholds.imbalance.high (0.6)",
        ),
        (
            "thresholds: {imbalance: {high: 1.5}}",
            "spec.thresholds.imbalance.high",
            1.5,
            9,
            28,
            "must be less than or equal to 1",
        ),
        (
            "thresholds:\n  overrides:\n    binance:ETHUSDT: {imbalance: {high: 0.4}}",
            "spec.thresholds",
            {"overrides": {"binance:ETHUSDT": {"imbalance": {"high": 0.4}}}},
            9,
            3,
            "imbalance.medium (0.5) must be at most thresholds.overrides[binance:ETHUSDT].imbalance.high (0.4)",
        ),
        (
            "thresholds: {whaleTrade: {usual: 0}}",
            "spec.thresholds.whaleTrade.usual",
            0,
            9,
            29,
            "must be greater than 0",
        ),
        ("thresholds: {whaleTrade: x}", "spec.thresholds.whaleTrade", "x", 9, 16, "number"),
        (
            "patterns: [{name: squeeze, sequence: [whaleTrade, rain]}]",
            "spec.patterns[0].sequence[1]",
            "rain",
            9,
            53,
            "'whaleTrade'",
        ),
        (
            "patterns: [{name: squeeze, sequence: [whaleTrade, outlier], within: 11m}]",
            "spec.patterns[0].within",
            "11m",
            9,
            63,
            "above 0 and at most 10m",
        ),
        ("thresholds: {whaleTrade: -1}", "spec.thresholds.whaleTrade", -1, 9, 16, "must be greater than 0"),
        ("thresholds: {priceSpike: .inf}", "spec.thresholds.priceSpike", float("inf"), 9, 16, "finite"),
        ("windows: [1m, 7m]", "spec.windows[1]", "7m", 9, 17, "'5m'"),
        ("feeds: []", "spec.feeds", [], 9, 3, "at least 1 item"),
        ("feeds: [book, candels]", "spec.feeds[1]", "candels", 9, 17, "'candles'"),
        ("api: {port: 70000}", "spec.api.port", 70000, 9, 9, "less than or equal to 65535"),
        ("api: {port: eighty}", "spec.api.port", "eighty", 9, 9, "valid integer"),
        (
            "processing: {checkpointInterval: 5 seconds}",
            "spec.processing.checkpointInterval",
            "5 seconds",
            9,
            16,
            "must be a whole number and its unit, ms, s, m, h or d",
        ),
        ("sinks: {redis: {url: 'http://x'}}", "spec.sinks.redis.url", "http://x", 9, 19, "starts with redis://"),
        (
            "sinks: {timescale: {url: 'postgresql://u:secret@h/d'}}",
            "spec.sinks.timescale.url",
            "postgresql://u:secret@h/d",
            9,
            23,
            "must not contain a password",
        ),
        ("broker: {bootstrapServers: nowhere}", "spec.broker.bootstrapServers", "nowhere", 9, 12, "host:port"),
        ("deletionPolicy: Keep", "spec.deletionPolicy", "Keep", 9, 3, "'Retain' or 'Delete'"),
        ("suspend: perhaps", "spec.suspend", "perhaps", 9, 3, "boolean"),
    ],
)
def test_a_wrong_field(lines: str, field: str, value: object, line: int, column: int, says: str) -> None:
    found = problem(with_spec(lines))
    assert (found.field, found.value) == (field, value)
    assert (found.line, found.column) == (line, column)
    assert says in found.expected
    assert f"(line {line}, column {column})" in str(found)


@pytest.mark.parametrize(
    ("symbol", "says"),
    [
        ("nasdaq:AAPL", "unknown exchange 'nasdaq'; known: binance"),
        ("binance:btc", "'btc' is not a symbol of binance; write it like binance:BTCUSDT"),
        ("BTCUSDT", "has the wrong form; Instruments to follow, each as exchange:SYMBOL"),
        ("binance:", "has the wrong form"),
        ("binance:BTC USDT", "has the wrong form"),
        ("binance:BTC/USDT", "has the wrong form"),
        ("binance:BTC,ETH", "has the wrong form"),
        ("binance:BTC?USDT", "is not a symbol of binance"),
        ("binance:" + "A" * 21, "is not a symbol of binance"),
        ("binance:币安人生usdt", "is not a symbol of binance"),
    ],
)
def test_a_wrong_symbol(symbol: str, says: str) -> None:
    found = problem(GOOD.replace("binance:ETHUSDT", f"'{symbol}'"))
    assert (found.field, found.value, found.line, found.column) == ("spec.symbols[1]", symbol, 8, 7)
    assert says in found.expected


LISTED = ["STRY", "SBTC", "A", "1000SATSUSDT", "BTC-USD_250926", "BTC.D", "币安人生USDT", "A" * 20]
"""Names that the exchange lists, and the ends of its own rule, [A-Z0-9-_.]{1,20}."""


@pytest.mark.parametrize("name", LISTED)
def test_a_symbol_that_is_listed(name: str) -> None:
    pipeline = load_text(GOOD.replace("binance:ETHUSDT", f"binance:{name}"))
    assert pipeline.spec.symbols[1] == f"binance:{name}"


def test_a_symbol_twice() -> None:
    found = problem(GOOD.replace("ETH", "BTC"))
    assert (found.field, found.line) == ("spec.symbols", 6)
    assert "binance:BTCUSDT stands more than once" in found.expected


def test_no_symbols() -> None:
    assert "at least 1 item" in problem(GOOD.partition("    -")[0].replace("symbols:", "symbols: []")).expected


def test_what_does_not_fit_together() -> None:
    partial = problem(with_spec("depth: {source: partial, levels: 7, calculate: 5}"))
    assert "depth.levels (7) must be one of 5, 10, 20 with depth.source partial" in partial.expected
    late = problem(with_spec("processing: {allowedLateness: 2m}"))
    assert "processing.allowedLateness (2m) must be below the smallest window" in late.expected
    for pattern, feeds, says in (
        (
            "{name: outlier, sequence: [whaleTrade, whaleTrade]}",
            "",
            "patterns[0].name (outlier) is the name of another",
        ),
        ("{name: x, sequence: [whaleTrade, outlier]}", "feeds: [book]", "outlier needs `trades` in feeds"),
    ):
        wrong = problem(with_spec(f"patterns: [{pattern}]\n{feeds}\n"))
        assert says in wrong.expected
    other = problem(with_spec("thresholds: {overrides: {binance:DOGEUSDT: {whaleTrade: 1}}}"))
    assert "thresholds.overrides: binance:DOGEUSDT must be among the symbols: binance:BTCUSDT" in other.expected
    nobody = problem(with_spec("broker: {passwordSecret: {name: kafka}}"))
    assert "broker.username is needed" in nobody.expected
    for secret in ("caSecret", "clientCertificateSecret"):
        bare = problem(with_spec(f"broker: {{{secret}: {{name: kafka}}}}"))
        assert "broker.tls must be true with broker.caSecret or broker.clientCertificateSecret" in bare.expected
    alone = problem(with_spec("feeds: [raw]"))
    assert "feeds: raw keeps what comes for other feeds; name at least one of them" in alone.expected
    blind = problem(with_spec("sinks: {timescale: {enabled: false}, redis: {enabled: false}}"))
    assert (
        "api.enabled needs at least one sink: set sinks.clickhouse.enabled or sinks.redis.enabled or "
        "sinks.timescale.enabled" in blind.expected
    )
    silent = problem(with_spec("feeds: [quotes]\nsinks: {notify: {webhook: {url: http://localhost:1}}}"))
    assert "sinks.notify.enabled needs book or trades among the feeds" in silent.expected
    headless = problem(with_spec("dashboard: {enabled: true}\napi: {enabled: false}"))
    assert "dashboard.enabled needs the API: set api.enabled to true" in headless.expected
    locked_out = problem(with_spec("dashboard: {enabled: true}\napi: {auth: {secretName: keys}}"))
    assert "dashboard.apiKeySecret is needed with api.auth.secretName" in locked_out.expected


def test_a_pipeline_without_a_sink_is_one_without_an_api() -> None:
    pipeline = load_text(
        with_spec("sinks: {timescale: {enabled: false}, redis: {enabled: false}}\napi: {enabled: false}")
    )
    assert not pipeline.spec.api.enabled


def test_every_problem_is_named_at_once() -> None:
    found = problems(with_spec("depht: {}\nwindows: [9m]\napi: {port: 0}"))
    assert {one.field for one in found} == {"spec.depht", "spec.windows[0]", "spec.api.port"}


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        (GOOD.replace("crypto", "Crypto!"), "metadata.name", "a to z, 0 to 9 and -"),
        (GOOD.replace("kind: MarketPipeline", "kind: Pipeline"), "kind", "'MarketPipeline'"),
        (GOOD.replace("v1alpha1", "v9"), "apiVersion", "marketpipeline.dev/v1alpha1"),
        (GOOD.partition("spec:")[0], "spec", "is required"),
        (GOOD.partition("metadata:")[0] + "spec: {symbols: ['binance:BTCUSDT']}\n", "metadata", "is required"),
    ],
)
def test_a_wrong_head(text: str, field: str, says: str) -> None:
    found = problem(text)
    assert found.field == field
    assert says in found.expected


def test_yaml_that_does_not_parse_names_line_and_column() -> None:
    found = problem("apiVersion: marketpipeline.dev/v1alpha1\nkind: [MarketPipeline\nmetadata: {}\n")
    assert (found.line, found.column) == (3, 9)
    assert "does not parse" in found.expected


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n"])
def test_an_empty_file(text: str) -> None:
    found = problem(text)
    assert found.value == "no document"
    assert "it is empty" in found.expected


def test_two_documents() -> None:
    found = problem(f"{GOOD}---\n{GOOD}")
    assert found.value == "2 documents"
    assert "one MarketPipeline, in one file each" in found.expected


def test_empty_documents_beside_the_one_do_not_matter() -> None:
    assert load_text(f"---\n{GOOD}---\n").name == "crypto"


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text\n", "42\n"])
def test_no_mapping(text: str) -> None:
    assert "must be a mapping with apiVersion" in problem(text).expected


def test_a_key_twice_is_not_lost_silently() -> None:
    found = problem(with_spec("depth: {levels: 10}\ndepth: {levels: 50}"))
    assert (found.field, found.line, found.column) == ("spec.depth", 10, 3)
    assert "stands twice (first in line 9)" in found.expected


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match="must be readable: No such file"):
        load_file(tmp_path / "absent.yaml")
    with pytest.raises(InvalidSpec, match="must be readable: Is a directory"):
        load_file(tmp_path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidSpec, match="must be UTF-8 text"):
        load_file(path)


def test_an_object_of_the_cluster_is_accepted_with_its_status() -> None:
    data: dict[str, Any] = {
        "apiVersion": "marketpipeline.dev/v1alpha1",
        "kind": "MarketPipeline",
        "metadata": {"name": "crypto", "uid": "4d1", "generation": 3, "managedFields": [{}]},
        "spec": {"symbols": ["binance:BTCUSDT"]},
        "status": {"phase": "Running"},
    }
    pipeline = load_object(data)
    assert pipeline.spec == load_object(data | {"status": None}).spec
    assert "status" not in pipeline.model_dump()


def test_an_object_has_no_lines() -> None:
    with pytest.raises(InvalidSpec) as caught:
        load_object({"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "spec": {}})
    assert [(one.field, one.line) for one in caught.value.problems] == [("metadata", None), ("spec.symbols", None)]


def test_a_spec_is_immutable_and_survives_its_own_yaml() -> None:
    pipeline = load_text(GOOD)
    again = MarketPipeline.model_validate(pipeline.model_dump(mode="json", by_alias=True, exclude_none=True))
    assert again == pipeline
    with pytest.raises(ValueError, match="frozen"):
        pipeline.spec.suspend = True  # type: ignore[misc]
