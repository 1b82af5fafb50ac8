"""An exchange that only sends, as fast as the reader takes it: a WebSocket for the frames, HTTP for what REST is asked.

Frames are encoded for the wire beforehand, so that sending costs next to nothing. Run as a process:
`python -m benchmarks.feeds.feeder CAPTURE ROUNDS`; prints its ports, then serves until it is ended.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

from benchmarks.feeds.frames import Frames, load

CHUNK = 256 * 1024


def encode(payload: bytes) -> bytes:
    """A text frame from a server."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 65536:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


def chunks(frames: list[bytes]) -> list[bytes]:
    """All frames, in pieces that are sent at once."""
    made, piece = [], bytearray()
    for frame in frames:
        piece += encode(frame)
        if len(piece) >= CHUNK:
            made.append(bytes(piece))
            piece.clear()
    return [*made, bytes(piece)]


class Sender(WSListener):
    """Answers a subscription, waits a moment for the book to be asked for, and sends everything."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._free = asyncio.Event()
        self._free.set()
        self._task: asyncio.Task[None] | None = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.TEXT:
            number = json.loads(frame.get_payload_as_bytes())["id"]
            transport.send(WSMsgType.TEXT, json.dumps({"result": None, "id": number}).encode())
            if self._task is None:
                self._task = asyncio.get_running_loop().create_task(self._send(transport))
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def pause_writing(self) -> None:
        self._free.clear()

    def resume_writing(self) -> None:
        self._free.set()

    async def _send(self, transport: WSTransport) -> None:
        socket = transport.underlying_transport
        for piece in self._pieces:
            await self._free.wait()
            socket.write(piece)
            await asyncio.sleep(0)


def serve_rest(frames: Frames) -> int:
    """Symbols, the snapshot, no trades of the past; returns the port."""
    listing = {"symbols": [{"symbol": frames.symbol}]}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answers: dict[str, Any] = {"exchangeInfo": listing, "time": {"serverTime": frames.began}}
            name = self.path.partition("?")[0].rpartition("/")[2]
            body = frames.snapshot if name == "depth" else json.dumps(answers.get(name, [])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


async def main(path: Path, rounds: int) -> None:
    frames = load(path, rounds)
    pieces = chunks(frames.frames)
    server = await ws_create_server(lambda request: Sender(pieces), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ready = {"socket": port, "rest": serve_rest(frames), "frames": len(frames.frames), "by_stream": frames.by_stream}
    print(json.dumps(ready), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2])))
