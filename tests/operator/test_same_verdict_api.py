"""`marketpipeline validate` and the API server say the same of the same file, read as `kubectl` reads it."""

from __future__ import annotations

import subprocess

import pytest
from marketpipeline.errors import InvalidSpec
from marketpipeline.spec import load_text

from tests.operator.support import Kubectl

HEAD = (
    "apiVersion: marketpipeline.dev/v1alpha1\nkind: MarketPipeline\nmetadata: {{name: crypto, namespace: {}}}\nspec:\n"
)
SYMBOLS = "  symbols: [binance:BTCUSDT]\n"

ACCEPTED = [
    "  depth: {levels: 20.0}",
    "  depth: {levels: 1e2}",
    "  depth: {levels: 0x14}",
    "  depth: {levels: 024}",
    "  depth: {levels: 1_00}",
    "  depth: {withinBps: 5}",
    "  depth:",
    "  depth: {}",
    "  depth: {levels: ~}",
    "  thresholds:",
    "  thresholds: {imbalance: null}",
    "  suspend: yes",
    "  suspend: off",
    "  suspend: y",
    "  suspend: null",
    "  broker: {topicPrefix: '123'}",
    "  broker: {topicPrefix: 2025-02-30}",
    "  broker: {topicPrefix: 0x_}",
    "  broker: {bootstrapServers: '[::1]:9092,kafka-1.kafka:65535'}",
    "  ingestion: {resources: {cpu: 2, memory: 1073741824}}",
    "  ingestion: {resources: {cpu: '0.5', memory: 512M}}",
    "  ingestion: {resources: {cpu: 500m, memory: 1e9}}",
    "  processing: {resources: {cpu: '1', memory: 1.5Gi}}",
    "  sinks: {redis: {url: 'redis://[::1]:6379/0', resources: {memory: 64Mi}}}",
    "  sinks: {timescale: {url: 'postgresql://u@a:5432,b:5433/d?target_session_attrs=read-write'}}",
    "  retention: {tables: {trades: forever, book: 99999d}, topics: {raw: forever}}",
    "  processing: &p {parallelism: 2}",
    "  windows: []",
    "  ingestion: {websocketUrls: {binance: }}",
    "  unknown: null",
    "  exclude: [binance:*UP*, binance:USDCUSDT, 'okx:*']",
    "  maxSymbols: 1000",
    "  hibernation: {schedule: 0 20 * * 1-5, wake: 0 7 * * 1-5, timeZone: Europe/Berlin}",
    "  hibernation: {schedule: '0 20 30 2 1', wake: '0 7 30,31 2,3 *'}",
    "  hibernation: {schedule: '0 20 31 2-3 *', wake: '0 7 29,31 2 *'}",
]
REFUSED = [
    "  hibernation: {schedule: '20:00', wake: 0 7 * * *}",
    "  hibernation: {schedule: 0 24 * * *, wake: 0 7 * * *}",
    "  hibernation: {schedule: 0 20 * * *}",
    "  hibernation: {schedule: 0 7 * * *, wake: 0 7 * * *}",
    "  hibernation: {schedule: 0 20 * * *, wake: '0 7 30 2 *'}",
    "  maintenance: {windows: [{schedule: '0 2 31 4,6,9-9 */2'}]}",
    "  hibernation: {schedule: 0 20 * * *, wake: 0 7 * * *, timeZone: 'Central European Time'}",
    "  exclude: [kraken:*]",
    "  exclude: ['*USDT']",
    "  exclude: [binance:top-3-USDT]",
    "  exclude: [okx:BTCUSDT]",
    "  maxSymbols: 0",
    "  depth: {levels: yes}",
    "  depth: {levels: '20'}",
    "  depth: {levels: 20.5}",
    "  depth: {levels: 1:30}",
    "  depth: {levels: .inf}",
    "  depth: {withinBps: '5'}",
    "  depth: [20]",
    "  suspend: 'no'",
    "  suspend: 0",
    "  suspend: nope",
    "  windows: 1m",
    "  windows: [null]",
    "  windows: [60]",
    "  feeds: [book, book]",
    "  feeds: [Book]",
    "  broker: {topicPrefix: 123}",
    "  broker: {topicPrefix: yes}",
    "  broker: {bootstrapServers: 'kafka:65536'}",
    "  broker: {bootstrapServers: 'kafka'}",
    "  api: {port: 65536}",
    "  ingestion: {resources: {cpu: 1Gi}}",
    "  ingestion: {resources: {cpu: 0.5}}",
    "  ingestion: {resources: {cpu: true}}",
    "  ingestion: {resources: {cpu: 0}}",
    "  ingestion: {resources: {memory: 512m}}",
    "  ingestion: {resources: {memory: 512}}",
    "  processing: {resources: {memory: 1728m}}",
    "  ingestion: {websocketUrls: {binance: 'ws://h:70000'}}",
    "  sinks: {redis: {url: 'redis://host/cache'}}",
    "  sinks: {redis: {url: 'redis://host:65536'}}",
    "  sinks: {redis: {url: 'redis://u:pa:ss@host'}}",
    "  sinks: {redis: {url: 'redis://u:s3cret/x@host'}}",
    "  sinks: {redis: {resources: {cpu: 1k}}}",
    "  sinks: {timescale: {url: 'postgresql://h:0/d'}}",
    "  sinks: {redis: {expiry: forever}}",
    "  sinks: {redis: {passwordSecret: {}}}",
    "  sinks: {nowhere: {}}",
    "  retention: {tables: {trades: 999999d}}",
    "  retention: {tables: {trades: never}}",
    "  retention: {tables: {compressAfter: forever}}",
    "  retention: {topics: {raw: 1.5d}}",
    "  thresholds: {whaletrade: 1}",
    "  thresholds: {whaleTrade: '1e5'}",
    "  thresholds: {whaleTrade: 0}",
    "  processing: {checkpointDirectory: 'not a uri'}",
    "  processing: {flinkConfiguration: {s3.secret-key: x}}",
    "  processing: {flinkConfiguration: {Not a key: x}}",
    "  processing: {s3: {endpoint: 'ftp://x'}}",
    "  ingestion: {websocketUrls: {nowhere: 'wss://x'}}",
    "  broker: {topicPrefix: '..'}",
    "  broker: {namespace: kafka}",
]
CASES = [(body, True) for body in ACCEPTED] + [(body, False) for body in REFUSED]


@pytest.mark.parametrize(("body", "accepted"), CASES, ids=[body.strip() for body, _ in CASES])
def test_validate_alone_has_the_verdict(body: str, accepted: bool) -> None:
    assert _validates(HEAD.format("markets") + SYMBOLS + body) is accepted


def test_both_say_the_same(kubectl: Kubectl, namespace: str) -> None:
    texts = [HEAD.format(namespace) + SYMBOLS + body for body, _ in CASES]
    texts += [
        HEAD.format(namespace) + "  symbols: binance:BTCUSDT\n",
        HEAD.format(namespace) + "  symbols:\n",
        *(
            HEAD.format(namespace) + f"  symbols: ['{entry}']\n"
            for entry in ("okx:BTC-*", "binance:top-20-USDT", "okx:top-999-USDT-SWAP", "binance:*")
        ),
        *(
            HEAD.format(namespace) + f"  symbols: ['{entry}']\n"
            for entry in ("binance:top-0-USDT", "okx:top-1000-USDT", "binance:top-3-*", "kraken:*", "okx:top-20")
        ),
        HEAD.format(namespace).replace("crypto", "123") + SYMBOLS,
        HEAD.format(namespace).replace("crypto", "crypto, annotations: {reviewed: 2025-02-30}") + SYMBOLS,
        HEAD.format(namespace).replace("crypto", "crypto, annotations: {reviewed: 1}") + SYMBOLS,
        HEAD.format(namespace).replace("v1alpha1", "v1") + SYMBOLS,
    ]
    assert [_validates(text) for text in texts if "  symbols: ['" in text] == [True] * 4 + [False] * 5
    differ = []
    for text in texts:
        command = [kubectl.program, f"--kubeconfig={kubectl.kubeconfig}", "apply", "--dry-run=server", "--filename=-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
        if (done.returncode == 0) is not _validates(text):
            differ.append(f"{text.partition('spec:')[2]} {text[60:200]}: kubectl {done.returncode} {done.stderr}")
    assert not differ, "\n".join(differ)


def _validates(text: str) -> bool:
    try:
        load_text(text)
    except InvalidSpec:
        return False
    return True
