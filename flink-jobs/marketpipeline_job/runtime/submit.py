"""From the script to a running job, through PyFlink. The only module that speaks to it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.settings import JobSettings
from py4j.protocol import Py4JError, Py4JNetworkError
from pyflink.common import Configuration
from pyflink.java_gateway import get_gateway
from pyflink.table import EnvironmentSettings, TableEnvironment

from marketpipeline_job.job import script

__all__ = ["Job", "jvm", "release", "submit"]

_log = logging.getLogger(__name__)


class Job:
    """A job that was handed to Flink."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.id: str = str(client.get_job_id())

    def stop(self, folder: str, timeout_seconds: float) -> str:
        """Stop it with a savepoint in `folder`, which is complete when this returns; gives its URI.

        Raises RetryableError when the job cannot make one now: what it has are its checkpoints.
        """
        java = jvm()
        try:
            form = java.org.apache.flink.core.execution.SavepointFormatType.NATIVE
            future = self._client._j_job_client.stopWithSavepoint(False, folder, form)
            milliseconds = java.java.util.concurrent.TimeUnit.MILLISECONDS
            return str(future.get(int(timeout_seconds * 1000), milliseconds))
        except (Py4JError, Py4JNetworkError) as error:
            raise RetryableError(f"no savepoint could be made: {_cause(error)}") from error


def jvm() -> Any:
    """The JVM that PyFlink speaks to, as py4j shows it."""
    return get_gateway().jvm


def release() -> None:
    """Let go of the JVM, which may end now.

    PyFlink's objects would still release their counterparts there, each with an error that it is gone.
    """
    logging.getLogger("py4j.java_gateway").setLevel(logging.CRITICAL)
    get_gateway().close()


def submit(settings: JobSettings, configuration: Mapping[str, str], told: Mapping[str, str]) -> Job:
    """Compile the script and start it; what is `told` can be read of the running job.

    Raises PermanentError with Flink's own reason when it is refused.
    """
    flink = Configuration()
    for key, value in configuration.items():
        flink.set_string(key, value)
    wanted = script(settings)
    level = logging.getLogger().level
    try:
        environment = TableEnvironment.create(
            EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(flink).build()
        )
        for key, value in told.items():
            environment.get_config()._j_table_config.addJobParameter(key, value)  # PyFlink has no name for it
        for statement in (*wanted.tables, *wanted.functions):
            environment.execute_sql(statement)
        for view in wanted.views:
            # As a planned query: a view that is only text is parsed and checked again wherever it is used.
            environment.create_temporary_view(view.name, environment.sql_query(view.query))
        together = environment.create_statement_set()
        for statement in wanted.inserts:
            together.add_insert_sql(statement)
        client = together.execute().get_job_client()
    except Exception as error:  # PyFlink turns every Java exception into one of its own, without a common base
        raise PermanentError(f"Flink refused the job: {_cause(error)}") from error
    finally:
        # Something that PyFlink imports turns all logging to warnings.
        logging.getLogger().setLevel(level)
    if client is None:
        raise PermanentError("Flink gave no handle of the job")
    return Job(client)


def _cause(error: BaseException) -> str:
    """The innermost message of a Java exception; its stack goes to the log."""
    _log.debug("Flink's exception", exc_info=error)
    text = str(error)
    causes = [line.partition("Caused by: ")[2] for line in text.splitlines() if "Caused by: " in line]
    return (causes or text.splitlines() or [type(error).__name__])[-1].strip()
