from __future__ import annotations

from pathlib import Path

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.local.options import Endpoints, RunOptions, endpoints


@pytest.mark.parametrize(
    ("url", "websocket", "rest"),
    [
        ("ws://127.0.0.1:9443", "ws://127.0.0.1:9443", "http://127.0.0.1:9443"),
        ("https://exchange.example", "wss://exchange.example", "https://exchange.example"),
        ("wss://h:1/path?x=1", "wss://h:1", "https://h:1"),
    ],
)
def test_both_addresses_from_either(url: str, websocket: str, rest: str) -> None:
    assert endpoints(url) == Endpoints(websocket, rest)


@pytest.mark.parametrize("url", ["lve", "ftp://x", "ws://", "", "127.0.0.1:9443"])
def test_what_is_no_exchange(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"--exchange: .*must be simulated, live, or the URL of an exchange"):
        endpoints(url)


@pytest.mark.parametrize(
    ("options", "source"),
    [
        (RunOptions(), "simulated"),
        (RunOptions(exchange="live"), "live"),
        (RunOptions(exchange="ws://x"), "url"),
        (RunOptions(replay=(Path("a.gz"),)), "replay"),
    ],
)
def test_the_kind_of_exchange(options: RunOptions, source: str) -> None:
    assert options.source == source
