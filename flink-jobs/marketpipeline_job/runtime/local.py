"""A Flink in the JVM of this process, and its job: started from a graph that was kept, or from one that is from now on.

docs/decisions/0271.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.settings import JobSettings
from py4j.protocol import Py4JError, Py4JNetworkError

from marketpipeline_job.ddl import without_address
from marketpipeline_job.job import script
from marketpipeline_job.runtime.plans import Plans
from marketpipeline_job.runtime.submit import cause, jvm, plan_once, refusals

__all__ = ["LocalFlink"]

_log = logging.getLogger(__name__)


class LocalFlink:
    """It is up when it is made, and waits for its job, whose id is `job` from then on."""

    def __init__(self, cluster: Mapping[str, str], job: Mapping[str, str]) -> None:
        """`cluster` is the configuration of Flink itself, `job` that of what runs in it."""
        self._configuration = dict(job)
        with refusals():
            slots = int(job["parallelism.default"])
            self._flink = jvm().dev.marketpipeline.flink.start.LocalFlink(_map({**job, **cluster}), slots)
        self.job = ""

    def graph(self, settings: JobSettings, plans: Plans, temporary: Path) -> Any:
        """The graph of the job with these settings.

        One in which a password is stays in the `temporary` folder. Raises PermanentError where Flink refuses the job.
        """
        anywhere = without_address(settings)
        key = plans.key(script(anywhere).text(), self._configuration)
        if (kept := plans.graph(key)) is not None:
            try:
                return self._read(kept)
            except PermanentError as error:
                _log.warning("a graph that was kept cannot be read, another one is made: %s", error)
        made = temporary / "job.graph"
        self._flink.keepIn(str(made))
        plan_once(anywhere, self._configuration, plans).start({}, {})
        if not any((settings.kafka.username, settings.kafka.key)):
            plans.put_graph(key, made)
        return self._read(made)

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
