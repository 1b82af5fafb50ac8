"""What benchmarks share: the machine in words, a broker and an API of their own, and times as percentiles."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from marketpipeline.local.component import NotReady
from marketpipeline.local.components.broker import Broker
from marketpipeline.settings import ApiSettings

from tests.support.tied import tied

__all__ = [
    "CAPTURES",
    "ROOT",
    "free_port",
    "machine",
    "off_first_core",
    "percentiles",
    "running_api",
    "running_broker",
]

ROOT = Path(__file__).resolve().parent.parent
CAPTURES = tuple(ROOT.parent / "shared" / "data" / f"binance_{symbol}_20240808.gz" for symbol in ("btcusdt", "ethusdt"))
"""Real frames of both symbols, of the same six minutes."""
START_SECONDS = 90.0


def machine() -> dict[str, Any]:
    """The processor, and how busy others keep it."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    load = [round(one, 1) for one in os.getloadavg()]
    return {"processor": model, "cores": os.cpu_count(), "system": platform.platform(), "load": load}


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def percentiles(seconds: Iterable[float]) -> dict[str, float]:
    """In milliseconds."""
    ordered = sorted(seconds)
    return {f"p{share}": round(ordered[int(len(ordered) * share / 100)] * 1e3, 2) for share in (50, 90, 99)}


def off_first_core() -> None:
    """This process and what it starts keep off the core that `running_api` pins its own to, where there is another."""
    cores = os.sched_getaffinity(0)
    if len(cores) > 1:
        os.sched_setaffinity(0, cores - {min(cores)})


@contextmanager
def running_api(folder: Path, settings: ApiSettings) -> Iterator[tuple[str, psutil.Process]]:
    """`marketpipeline api` on the first core; gives its address and its process."""
    config, log = folder / "api.json", folder / "api.log"
    written = settings.model_dump(mode="json", exclude_none=True)
    for name, store in settings.stores.by_kind().items():
        if (password := getattr(store, "password", None)) is not None:
            written["stores"][name]["password"] = password.get_secret_value()
    config.write_text(json.dumps(written))
    first = str(min(os.sched_getaffinity(0) | os.sched_getaffinity(os.getppid())))
    command = ["taskset", "-c", first, sys.executable, "-m", "marketpipeline", "api", "--config", str(config)]
    with log.open("wb") as out:
        process = subprocess.Popen(tied(command), stdout=out, stderr=out)
    url = f"http://127.0.0.1:{settings.http.port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{url}/health/live").raise_for_status()
                break
            except httpx.HTTPError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(log.read_text()) from error
                time.sleep(0.1)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def running_broker(folder: Path, before: Callable[[], None] | None = None) -> Iterator[str]:
    """A broker with its data in `folder`; gives its address. `before` is called in its process before it starts."""
    java = shutil.which("java")
    if java is None:
        raise SystemExit("no Java to run the broker")
    broker = Broker(
        java=java, jars=ROOT / ".cache" / "jars" / "kafka", folder=folder / "kafka",
        port=free_port(), controller_port=free_port(), heap_mb=512,
    )  # fmt: skip
    with (folder / "broker.log").open("ab") as log:
        for command in broker.prepare():
            subprocess.run(command.arguments, cwd=command.directory, stdout=log, stderr=log, check=True)
        command = broker.command()
        process = subprocess.Popen(
            tied(command.arguments, death=command.death_signal), cwd=command.directory, stdout=log, stderr=log,
            start_new_session=True, preexec_fn=before,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                broker.check()
                break
            except NotReady as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the broker did not start: {error}") from error
                time.sleep(0.2)
        yield broker.address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
