"""A proxy that is the only way to a host that no name server knows: it takes CONNECT, and ends TLS as that host."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.certificates import Certificate

__all__ = ["ConnectProxy", "connect_proxy"]


class ConnectProxy:
    """`asked` is what each connection asked for: the target, and its Proxy-Authorization or an empty string."""

    def __init__(self, certificate: Certificate, port: int) -> None:
        """Every target is the plain server on `port` of the loopback."""
        self.asked: list[tuple[str, str]] = []
        self.requests: list[str] = []
        self.port = 0
        self._target = port
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate.certificate, certificate.key)

    async def serve(self, opened: threading.Event) -> None:
        """Until `stop`."""
        server = await asyncio.start_server(self._serve_one, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        opened.set()
        async with server:
            await self._stop.wait()

    def stop(self) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._stop.set)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            method, target, headers = _parsed(await reader.readuntil(b"\r\n\r\n"))
            self.asked.append((f"{method} {target}", headers.get("proxy-authorization", "")))
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await writer.start_tls(self._tls)
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head.split(b"\r\n", 1)[0].decode())
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            back.write(head)
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        writer.close()


def _parsed(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    return method, target, {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
        target.close()


@contextmanager
def connect_proxy(certificate: Certificate, port: int) -> Iterator[ConnectProxy]:
    """A proxy in a thread of its own, for the time of the block."""
    proxy, opened = ConnectProxy(certificate, port), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(proxy.serve(opened)), daemon=True)
    thread.start()
    assert opened.wait(10)
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(10)
