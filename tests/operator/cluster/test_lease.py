"""The Lease against a real API server: whoever loses it writes no more before another can take it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.errors import Unavailable
from marketpipeline_operator.cluster.kinds import CHILD_KINDS
from marketpipeline_operator.cluster.lease import Lease
from marketpipeline_operator.settings import LeaseSettings

CONFIG_MAP = next(kind for kind in CHILD_KINDS if kind.kind == "ConfigMap")


class Network:
    """A way to the API server that can go silent: connections stay open, and nothing passes."""

    def __init__(self, kubeconfig: Path) -> None:
        self._config = yaml.safe_load(kubeconfig.read_text())
        target = urlsplit(self._config["clusters"][0]["cluster"]["server"])
        self._target = (target.hostname, target.port)
        self._passes = asyncio.Event()
        self._passes.set()

    @asynccontextmanager
    async def open(self, folder: Path) -> AsyncIterator[Path]:
        """A kubeconfig whose server is behind it."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self._config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(self._config))
        try:
            yield path
        finally:
            server.close()

    def go_silent(self) -> None:
        self._passes.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                await self._passes.wait()
                target.write(data)
                await target.drain()
        target.close()


async def test_the_holder_writes_no_more_before_another_can_take_the_lease(
    kubernetes: Kubernetes, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    """Requests may take 30 s and the lease lasts 3: the one that is under way when the network goes is given up too."""
    settings = LeaseSettings(name="operators", namespace=namespace, duration=3, renew=0.5)
    await kubernetes.create(CONFIG_MAP, namespace, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}})
    network = Network(kubeconfig)
    async with network.open(tmp_path) as path:
        mine = Kubernetes.connect(timeout=30, kubeconfig=str(path))
        renewals = Kubernetes.connect(timeout=1, kubeconfig=str(path))

        def until(moment: float) -> None:
            mine.writes_until = moment

        first = Lease(renewals, settings, "first", until)
        await first.acquire()
        holding = asyncio.create_task(first.hold())
        ended: list[tuple[float, str]] = []

        async def write() -> None:
            while True:
                try:
                    await mine.merge(CONFIG_MAP, namespace, "m", {"data": {"at": str(time.time())}})
                    ended.append((time.monotonic(), "written"))
                except Unavailable as error:
                    ended.append((time.monotonic(), str(error)))
                await asyncio.sleep(0.02)

        writing = asyncio.create_task(write())
        second = asyncio.create_task(Lease(kubernetes, settings, "second").acquire())
        await asyncio.sleep(settings.duration + 1)
        assert not second.done(), "while it is renewed nobody else gets it"
        assert ended[-1][1] == "written"
        network.go_silent()
        silent = time.monotonic()
        await asyncio.wait_for(second, 15)
        taken = time.monotonic()
        assert holding.done()
        after = [(at, what) for at, what in ended if at > silent + 0.1]
        assert after, "the request that was under way has been given up"
        assert after[0][0] < taken - 0.5
        assert "does not hold its lease" in after[-1][1]
        writing.cancel()
        mine.close()
        renewals.close()


def test_a_renewal_that_leaves_no_second_try_is_refused() -> None:
    with pytest.raises(ValueError, match=r"renew \(10\) must be at most a third of duration \(15\)"):
        LeaseSettings(renew=10)
