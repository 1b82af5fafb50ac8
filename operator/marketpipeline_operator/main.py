"""The operator's process: settings, Lease, watches, and an orderly shutdown."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import uuid
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import kopf
from marketpipeline.errors import MarketPipelineError
from marketpipeline.telemetry import Health, Telemetry

from marketpipeline_operator import metrics
from marketpipeline_operator.application import Operator
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.discovery import is_served
from marketpipeline_operator.cluster.lease import Lease
from marketpipeline_operator.handlers import kopf_settings, registry_of
from marketpipeline_operator.settings import OperatorSettings

__all__ = ["run"]

_log = logging.getLogger(__name__)
_BROKER_THREADS = 32


@dataclass
class _State:
    """What the probes report."""

    activity: str = "waiting for the API server"
    operator: Operator | None = None

    def health(self) -> Health:
        operator = self.operator
        if operator is None:
            return Health("starting", {"doing": self.activity})
        details = {
            "doing": self.activity,
            "pipelines": len(operator.cache.keys()),
            "queue": operator.queue.depth,
            "oldest_seconds": round(operator.queue.oldest(), 1),
        }
        return Health("ok" if operator.alive else "failed", details)

    def alive(self) -> bool:
        return self.operator is None or self.operator.alive


def run(settings: OperatorSettings, kubeconfig: str | None = None) -> int:
    """Run until told to stop. The exit status: 0, or 1 when the process has to be restarted."""
    state = _State()
    telemetry = Telemetry.start(settings, "operator", state.health, state.alive)
    logging.getLogger("kopf").setLevel("WARNING")
    try:
        kubernetes = Kubernetes.connect(timeout=settings.reconcile.request_timeout, kubeconfig=kubeconfig)
        # A client of its own: a renewal waits for no other request, and gives up while there is time for another.
        renewals = Kubernetes.connect(timeout=settings.lease.duration / 3, threads=2, kubeconfig=kubeconfig)
        return asyncio.run(_run(settings, kubernetes, renewals, telemetry, state))
    except MarketPipelineError as error:
        _log.error("stopped", extra={"error": str(error)})
        return 1
    finally:
        telemetry.close()


async def _run(
    settings: OperatorSettings, kubernetes: Kubernetes, renewals: Kubernetes, telemetry: Telemetry, state: _State
) -> int:
    # For the pipelines' brokers: one that does not answer holds a thread for seconds.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_BROKER_THREADS, "broker"))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def may_write_until(moment: float) -> None:
        kubernetes.writes_until = moment

    may_write_until(0)
    identity = f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    lease = Lease(renewals, settings.lease, identity, may_write_until)
    try:
        state.activity = "standing by: another operator holds the lease"
        if not await _unless(stop, lease.acquire()):
            return 0
        state.activity = "waiting for the CRD"
        if not await _unless(stop, _crd(kubernetes)):
            return 0
        return await _work(settings, kubernetes, telemetry, state, lease, stop)
    finally:
        await lease.release()
        kubernetes.close()
        renewals.close()


async def _work(
    settings: OperatorSettings,
    kubernetes: Kubernetes,
    telemetry: Telemetry,
    state: _State,
    lease: Lease,
    stop: asyncio.Event,
) -> int:
    operator = Operator(kubernetes, settings, socket.gethostname())
    await operator.look_around()
    metrics.observe(telemetry.meter, operator, kubernetes)
    state.activity, state.operator = "reconciling", operator
    watching = kopf.operator(
        registry=registry_of(operator.watched, operator, kubernetes.credentials),
        settings=kopf_settings(settings),
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        stop_flag=stop,
    )
    tasks = {
        asyncio.create_task(watching, name="watches"),
        asyncio.create_task(lease.hold(), name="lease"),
        asyncio.create_task(operator.keep_watch(), name="self-watch"),
        asyncio.create_task(operator.health.run(), name="health"),
    }
    told = asyncio.create_task(stop.wait())
    try:
        ended, _ = await asyncio.wait({*tasks, told}, return_when=asyncio.FIRST_COMPLETED)
        # kopf handles the signals itself; its watches then end without an error.
        broken = [task for task in ended - {told} if task.exception() or task.get_name() != "watches"]
        for task in broken:
            _log.error("a task of the operator ended", extra={"task": task.get_name(), "error": str(task.exception())})
        return 1 if broken and told not in ended else 0
    finally:
        stop.set()
        await operator.close()
        await _settle(tasks)


async def _settle(tasks: set[asyncio.Task[None]]) -> None:
    """Let the watches close, as the stop flag asks them to, then cancel what is left."""
    await asyncio.wait({task for task in tasks if task.get_name() == "watches"}, timeout=10)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Whether `work` finished before the process was told to stop."""
    task = asyncio.create_task(work)
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not task.done():
        task.cancel()
        return False
    task.result()
    return True


async def _crd(kubernetes: Kubernetes) -> None:
    """Wait until the cluster serves MarketPipelines."""
    said = False
    while True:
        try:
            if await is_served(kubernetes):
                return
            if not said:
                _log.error("the cluster does not serve MarketPipelines; apply the CRD (crds/)")
            said = True
        except MarketPipelineError as error:
            _log.warning("API server not reached", extra={"error": str(error)})
        await asyncio.sleep(2)
