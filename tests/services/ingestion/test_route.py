"""The way to an exchange through a proxy, with certificates of an authority of one's own."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.ingestion.route import Route
from marketpipeline.settings import IngestionSettings
from marketpipeline.topics import Feed, TopicKind

from tests.conftest import wait_for
from tests.services.ingestion.processes import Processes
from tests.support.certificates import Authority
from tests.support.proxy import connect_proxy

HOST = "exchange.invalid"
"""No name server knows it (RFC 2606): only the proxy can reach it."""


def settings(**changes: object) -> IngestionSettings:
    plain = {
        "pipeline": "x", "kafka": {"bootstrap_servers": "x:1"}, "topic_prefix": "x", "exchange": "binance",
        "symbols": ["BTCUSDT"], "feeds": ["trades"], "levels": 20, "websocket_url": "wss://x", "rest_url": "https://x",
    }  # fmt: skip
    return IngestionSettings.model_validate(plain | changes)


@pytest.mark.timeout(180)
def test_both_ways_lead_through_the_proxy(processes: Processes, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    processes.start_exchange("--symbol", "BTCUSDT")
    with connect_proxy(authority.issue(HOST, f"DNS:{HOST}"), processes.exchange_port) as proxy:
        processes.start_ingestion(
            processes.settings(
                "BTCUSDT",
                feeds=(Feed.BOOK, Feed.TRADES),
                websocket_url=f"wss://{HOST}",
                rest_url=f"https://{HOST}",
                proxy=f"http://user:pass%20word@127.0.0.1:{proxy.port}",
                ca_file=str(authority.certificate),
            )
        )
        wait_for(lambda: processes.health().get("produced", 0) > 100, "records", seconds=60)
        assert processes.stop_ingestion() == 0, processes.log()
    assert processes.records(TopicKind.TRADES)
    assert processes.records(TopicKind.BOOK), "a book begins with a snapshot, which REST gave"
    basic = "Basic " + base64.b64encode(b"user:pass word").decode()
    assert set(proxy.asked) == {(f"CONNECT {HOST}:443", basic)}
    paths = {request.split(" ")[1].split("?")[0] for request in proxy.requests}
    assert any(path.startswith("/api/") for path in paths), "REST"
    assert any(path.startswith(("/stream", "/ws")) for path in paths), "WebSocket"


@pytest.mark.parametrize("proxy", ["ftp://x:1", "http://x", "127.0.0.1:3128", "socks4://x:1"])
def test_another_kind_of_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(InvalidInput, match=r"proxy: .*must be the URL of a proxy"):
        Route.of(settings(proxy=proxy))


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(InvalidInput, match=r"ca_file: .*must be a file of certificates in PEM form"):
        Route.of(settings(ca_file=str(file)))
    assert Route.of(settings()) == Route()
