"""From the script to a job that is handed to Flink, in the JVM that PyFlink's gateway leads to.

Flink's own Table API is called there: PyFlink's classes around it are not needed for SQL, and importing what they need
takes longer than the planner.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from marketpipeline.errors import PermanentError
from marketpipeline.settings import JobSettings
from pyflink.java_gateway import get_gateway

from marketpipeline_job.job import script
from marketpipeline_job.runtime.plans import Plans, placed, without_places
from marketpipeline_job.sql import Script

__all__ = ["Plan", "cause", "jvm", "plan", "plan_once", "refusals", "release"]

_log = logging.getLogger(__name__)


def jvm() -> Any:
    """The JVM that PyFlink speaks to, as py4j shows it."""
    return get_gateway().jvm


def release() -> None:
    """Let go of the JVM, which may end now.

    Objects of it that are still held would be released there, each with an error that it is gone.
    """
    logging.getLogger("py4j.java_gateway").setLevel(logging.CRITICAL)
    get_gateway().close()


class Plan:
    """A job that is planned and not yet started. The most of a start is its making, which needs no broker."""

    def __init__(self, environment: Any, compiled: Any) -> None:
        self._environment = environment
        self._compiled = compiled

    def start(self, configuration: Mapping[str, str], told: Mapping[str, str]) -> None:
        """Hand it over with this beside what it was planned with; what is `told` can be read of the running job.

        Raises PermanentError with Flink's own reason when it is refused.
        """
        with refusals():
            for key, value in configuration.items():
                self._environment.getConfig().set(key, value)
            for key, value in told.items():
                self._environment.getConfig().addJobParameter(key, value)
            self._compiled.execute()


def plan(settings: JobSettings, configuration: Mapping[str, str]) -> Plan:
    """Plan the script. Raises PermanentError with Flink's own reason when it is refused."""
    with refusals():
        environment = _environment(configuration)
        return Plan(environment, _compiled(environment, script(settings)))


def plan_once(settings: JobSettings, configuration: Mapping[str, str], plans: Plans) -> Plan:
    """The same from a plan that was kept, or one that is from now on.

    Always by way of its text: operators have the ids of their places in the graph, which may be another one before.
    """
    wanted = script(without_places(settings))
    told = {key: value for key, value in configuration.items() if key.startswith("table.")}
    key = plans.key(wanted.queries(), told)
    if (text := plans.get(key)) is not None:
        try:
            return _loaded(text, settings, configuration)
        except PermanentError as error:
            _log.warning("a plan that was kept does not load, another one is made: %s", error)
    with refusals():
        text = str(_compiled(_environment(configuration), wanted).asJsonString())
    plans.put(key, text)
    return _loaded(text, settings, configuration)


def _loaded(text: str, settings: JobSettings, configuration: Mapping[str, str]) -> Plan:
    wanted = script(settings)
    with refusals():
        environment = _environment(configuration)
        for statement in (*wanted.tables, *wanted.functions):
            environment.executeSql(statement)
        reference = jvm().org.apache.flink.table.api.PlanReference.fromJsonString(placed(text, settings))
        return Plan(environment, environment.loadPlan(reference))


def _environment(configuration: Mapping[str, str]) -> Any:
    flink = jvm().org.apache.flink
    configured = flink.configuration.Configuration()
    for key, value in configuration.items():
        configured.setString(key, value)
    modes = flink.table.api.EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configured)
    return flink.table.api.TableEnvironment.create(modes.build())


def _compiled(environment: Any, wanted: Script) -> Any:
    for statement in (*wanted.tables, *wanted.functions):
        environment.executeSql(statement)
    for view in wanted.views:
        # As a planned query: a view that is only text is parsed and checked again wherever it is used.
        environment.createTemporaryView(view.name, environment.sqlQuery(view.query))
    together = environment.createStatementSet()
    for statement in wanted.inserts:
        together.addInsertSql(statement)
    return together.compilePlan()


@contextmanager
def refusals() -> Iterator[None]:
    """Whatever Flink raises is a PermanentError with its own reason."""
    try:
        yield
    except Exception as error:  # PyFlink turns some Java exceptions into its own, without a common base
        raise PermanentError(f"Flink refused the job: {cause(error)}") from error


def cause(error: BaseException) -> str:
    """The innermost message of a Java exception; its stack goes to the log."""
    _log.debug("Flink's exception", exc_info=error)
    text = str(error)
    causes = [line.partition("Caused by: ")[2] for line in text.splitlines() if "Caused by: " in line]
    return (causes or text.splitlines() or [type(error).__name__])[-1].strip()
