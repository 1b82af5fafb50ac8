"""The life of the process.

Embedded (one machine): it brings its own Flink, watches the job, and on SIGTERM stops it with a savepoint, so that the
next start computes nothing twice. On a cluster (started by Flink's Python driver): it hands the job over and ends; the
ports and the metrics are the platform's. Which state to go on from is decided here on both (runtime/state.py), whenever
the job starts, for whatever reason.
"""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from marketpipeline.errors import InvalidInput, MarketPipelineError, PermanentError, Problem, RetryableError
from marketpipeline.settings import JobSettings
from marketpipeline.telemetry import Telemetry
from prometheus_client import REGISTRY

from marketpipeline_job.ddl import BROKER_VARIABLE
from marketpipeline_job.runtime.broker import BrokerView, look_at_broker
from marketpipeline_job.runtime.configuration import common
from marketpipeline_job.runtime.files import FlinkFiles
from marketpipeline_job.runtime.monitor import Monitor
from marketpipeline_job.runtime.places import Places
from marketpipeline_job.runtime.plans import Plans
from marketpipeline_job.runtime.rest import FlinkRest
from marketpipeline_job.runtime.state import Origin, find_start

if TYPE_CHECKING:
    from marketpipeline_job.runtime.local import LocalFlink  # starts PyFlink

__all__ = ["prepare", "run"]

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_SAVEPOINT_SECONDS = 20.0
_ENDED = ("FAILED", "CANCELED", "FINISHED", "SUSPENDED")
_JVM_LEVELS = {"DEBUG": "INFO", "INFO": "WARN", "WARNING": "WARN", "ERROR": "ERROR"}


def run(settings: JobSettings, places: Places) -> int:
    """Run until the job is handed over or the process is told to stop; gives the exit status."""
    if places.gateway_port is not None:
        _hand_over(settings)
        return 0
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()
        if not monitor.watching:
            # Nothing runs that could be stopped in order, and Flink is not to be waited for.
            raise SystemExit(0)

    monitor = Monitor()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    telemetry = Telemetry.start(settings, "stream-job", monitor.health)
    REGISTRY.register(monitor)
    try:
        _run_embedded(settings, places, monitor, stopping)
    except InvalidInput as error:
        _log.error("cannot start: %s", error)
        return 2
    except MarketPipelineError as error:
        _log.error("%s", error)
        return 1
    finally:
        REGISTRY.unregister(monitor)
        telemetry.close()
    return 0


def _hand_over(settings: JobSettings) -> None:
    from marketpipeline_job.runtime.submit import jvm, plan  # starts PyFlink

    start = find_start(settings, look_at_broker(settings), FlinkFiles(jvm()))
    _log.info("the job %s", start.reason)
    plan(settings, {**common(settings), **start.configuration}).start({}, start.told)


def prepare(settings: JobSettings, places: Places) -> None:
    """Keep the graph of this job, for a start that finds it. Raises MarketPipelineError where that cannot be."""
    with _embedded_flink(settings, places) as (flink, _):
        flink.graph(settings)


def _run_embedded(settings: JobSettings, places: Places, monitor: Monitor, stopping: threading.Event) -> None:
    broker = _in_background(lambda: look_at_broker(settings))
    with _embedded_flink(settings, places) as (flink, process):
        graph = flink.graph(settings)
        start = find_start(settings, broker.result(), flink.files)
        _log.log(logging.WARNING if start.origin is Origin.UNFIT else logging.INFO, "the job %s", start.reason)
        flink.start(graph, start.configuration, start.told)
        monitor.watch(FlinkRest(flink.port, flink.job), start)
        _watch(monitor, process, stopping)
        began = time.monotonic()
        try:
            where = flink.stop(start.directory, _SAVEPOINT_SECONDS)
            _log.info("stopped", extra={"savepoint": where, "seconds": round(time.monotonic() - began, 2)})
        except RetryableError as error:
            _log.warning("stopped without a savepoint, the next start goes on from the last checkpoint: %s", error)


@contextmanager
def _embedded_flink(settings: JobSettings, places: Places) -> Iterator[tuple[LocalFlink, subprocess.Popen[bytes]]]:
    """A Flink of this process, without a job, and its JVM, which is ended at the end."""
    temporary, jars = _temporary(settings), _jars(places)
    from marketpipeline_job.runtime.jvm import start_jvm  # imports PyFlink, which takes a second

    level = _JVM_LEVELS[settings.telemetry.log_level]
    variables = {BROKER_VARIABLE: settings.kafka.bootstrap_servers}
    process = start_jvm(places.java_home, settings.heap_mb, level, temporary, jars, variables)
    try:
        from marketpipeline_job.runtime.local import LocalFlink
        from marketpipeline_job.runtime.submit import release

        try:
            yield LocalFlink(settings, Plans(places.flink_jars.parent / "plans", jars), temporary), process
        finally:
            release()
    finally:
        _end(process)
        shutil.rmtree(temporary, ignore_errors=True)


def _watch(monitor: Monitor, jvm: subprocess.Popen[bytes], stopping: threading.Event) -> None:
    """Until the process is told to stop. Raises PermanentError when the job or its JVM has ended by itself."""
    ready = False
    while not stopping.wait(_LOOK_SECONDS if ready else 0.2):
        if jvm.poll() is not None:
            raise PermanentError(f"Flink's JVM has ended with status {jvm.returncode}")
        reading = monitor.look()
        if reading.state in _ENDED:
            raise PermanentError(f"the job is {reading.state}: {reading.failure}")
        if reading.assigned and not ready:
            ready = True
            _log.info("running")


def _in_background(work: Callable[[], BrokerView]) -> Future[BrokerView]:
    """What a thread finds out that holds up no end of the process: the broker may not be there yet."""
    found: Future[BrokerView] = Future()

    def run() -> None:
        try:
            found.set_result(work())
        except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
            found.set_exception(error)

    threading.Thread(target=run, name="broker", daemon=True).start()
    return found


def _temporary(settings: JobSettings) -> Path:
    """A new folder for what only the running job needs. Raises InvalidInput where the state is no folder of ours."""
    address = urlsplit(settings.checkpoint_directory)
    if address.scheme not in ("", "file"):
        raise _wrong(settings.checkpoint_directory, "must be a local folder (file:///…) where Flink is embedded")
    found = Path(unquote(address.path)).absolute() / "tmp"
    try:
        shutil.rmtree(found, ignore_errors=True)
        found.mkdir(parents=True)
    except OSError as error:
        raise _wrong(str(found.parent), f"must be a folder that can be written: {error.strerror}") from error
    return found


def _wrong(value: str, expected: str) -> InvalidInput:
    return InvalidInput("settings", [Problem("checkpoint_directory", value, expected)])


def _jars(places: Places) -> list[Path]:
    jars = sorted(places.flink_jars.glob("*.jar"))
    if not jars:
        expected = (
            "must be the folder of Flink's connector jars; run `marketpipeline setup`, or set MARKETPIPELINE_FLINK_JARS"
        )
        raise InvalidInput("this machine", [Problem("flink_jars", str(places.flink_jars), expected)])
    return jars


def _end(jvm: subprocess.Popen[bytes]) -> None:
    """Nothing of it is needed any more: all that lasts is in the checkpoints."""
    jvm.kill()
    jvm.wait()
