"""A Flink in the JVM of this process, and its job: started from a graph that was kept, or from one that is from now on.

docs/decisions/0271.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.settings import JobSettings
from py4j.protocol import Py4JError, Py4JNetworkError

from marketpipeline_job.ddl import without_address
from marketpipeline_job.job import script
from marketpipeline_job.runtime.configuration import common, embedded
from marketpipeline_job.runtime.files import FlinkFiles
from marketpipeline_job.runtime.plans import Plans
from marketpipeline_job.runtime.submit import cause, jvm, plan_once, refusals

__all__ = ["LocalFlink"]

_log = logging.getLogger(__name__)


class LocalFlink:
    """It is up when it is made, at `port`, and waits for its job, whose id is `job` from then on."""

    def __init__(self, settings: JobSettings, plans: Plans, temporary: Path) -> None:
        self._plans, self._temporary = plans, temporary
        self._configuration = common(settings)
        self.job, self.port = "", _free_port()
        with refusals():
            cluster = _map({**self._configuration, **embedded(self.port)})
            slots = int(self._configuration["parallelism.default"])
            self._flink = jvm().dev.marketpipeline.flink.start.LocalFlink(cluster, slots)

    @property
    def files(self) -> FlinkFiles:
        """The places that it can keep state in."""
        return FlinkFiles(jvm())

    def graph(self, settings: JobSettings) -> Any:
        """The graph of the job with these settings, kept unless a password is in it.

        Raises PermanentError where Flink refuses the job.
        """
        anywhere = without_address(settings)
        key = self._plans.key(script(anywhere).text(), self._configuration)
        if (kept := self._plans.graph(key)) is not None:
            try:
                return self._read(kept)
            except PermanentError as error:
                _log.warning("a graph that was kept cannot be read, another one is made: %s", error)
        made = self._temporary / "job.graph"
        self._flink.keepIn(str(made))
        plan_once(anywhere, self._configuration, self._plans).start({}, {})
        if not any((settings.kafka.username, settings.kafka.key)):
            self._plans.put_graph(key, made)
        try:
            return self._read(made)
        finally:
            made.unlink(missing_ok=True)

    def _read(self, file: Path) -> Any:
        with refusals():
            return self._flink.read(str(file))

    def start(self, graph: Any, configuration: Mapping[str, str], told: Mapping[str, str]) -> None:
        """Start it, with this beside what it was made with; what is `told` can be read of the running job.

        Raises PermanentError with Flink's own reason when it is refused.
        """
        with refusals():
            self.job = str(self._flink.submit(graph, _map(configuration), _map(told)))

    def stop(self, folder: str, timeout_seconds: float) -> str:
        """Stop it with a savepoint in `folder`, which is complete when this returns; gives its URI.

        Raises RetryableError when the job cannot make one now: what it has are its checkpoints.
        """
        try:
            return str(self._flink.stop(self.job, folder, int(timeout_seconds * 1000)))
        except (Py4JError, Py4JNetworkError) as error:
            raise RetryableError(f"no savepoint could be made: {cause(error)}") from error


def _map(values: Mapping[str, str]) -> Any:
    found = jvm().java.util.HashMap()
    for key, value in values.items():
        found.put(key, value)
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
