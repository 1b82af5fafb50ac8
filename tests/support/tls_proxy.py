"""TLS before a server that has none: who connects must trust the authority, and show a certificate by it."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.certificates import Certificate

__all__ = ["tls_before"]


@contextmanager
def tls_before(port: int, server: Certificate, authority: Path) -> Iterator[int]:
    """The port on the loopback that leads to `port` by TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority))
    context.load_cert_chain(server.certificate, server.key)
    context.verify_mode = ssl.CERT_REQUIRED
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, ours), carry(theirs, writer))

    async def listen() -> int:
        found = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
        number: int = found.sockets[0].getsockname()[1]
        return number

    try:
        yield asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
