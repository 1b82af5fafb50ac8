"""The stream's thread over a socket that says what the API never should."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from marketpipeline.dashboard.market import Market
from marketpipeline.dashboard.stream import Stream
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.conftest import wait_for
from tests.services.sinks.samples import BTC

BOOK = {"kind": "levels", "symbol": BTC, "bids": [], "asks": []}


class Told:
    """A server that tells each connection the rows of its turn, the last ones again and again, and is silent then."""

    def __init__(self, *turns: list[dict[str, Any]]) -> None:
        self.turns = list(turns)
        self.asked: list[dict[str, str]] = []
        self.open: list[ServerConnection] = []
        self.url = ""

    def __call__(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        rows = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
        self.asked.append({name: value for name, [value] in parse_qs(urlsplit(socket.request.path).query).items()})
        self.open.append(socket)
        try:
            socket.send(json.dumps({"type": "snapshot", "id": "1", "live": True, "records": rows}))
            for _ in socket:
                pass
        except ConnectionClosed:
            pass
        finally:
            self.open.remove(socket)


@contextmanager
def telling(*turns: list[dict[str, Any]]) -> Iterator[Told]:
    """The server, on a port of its own."""
    told = Told(*turns)
    with serve(told, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        told.url = "ws://{}:{}".format(*server.socket.getsockname())
        yield told
        server.shutdown()
        thread.join(10)


def test_a_row_that_nobody_understands_is_told_and_the_stream_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    market = Market()
    with telling([{"kind": "levels"}], [{"kind": "levels"}], [BOOK]) as told:
        stream = Stream(told.url, {}, None, ["levels"], market.take, lambda: None)
        stream.start()
        wait_for(lambda: market.levels(BTC), "a row that is whole")
        said = [record.message for record in caplog.records if record.levelname == "ERROR"]
        assert said == ["what the stream told was not understood"] * 2
        assert stream.problem is None
        assert stream.is_alive()
        stream.stop()
        stream.join(10)
