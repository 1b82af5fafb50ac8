"""The toy sink, in everything that has to know of a sink."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.cli.main import commands
from marketpipeline.errors import InvalidSpec, RetryableError
from marketpipeline.local.drain import CaughtUp, Look, groups_of_sinks
from marketpipeline.local.offsets import Offsets
from marketpipeline.local.options import RunOptions
from marketpipeline.local.prerequisites import Java
from marketpipeline.local.stack import TOPICS, LocalStack, assemble
from marketpipeline.local.state import StateFolder
from marketpipeline.plan import Component, components_yaml, plan, plan_as_text, programs
from marketpipeline.settings.local import LocalSettings
from marketpipeline.sink_kinds import sink_kinds
from marketpipeline.spec import MarketPipeline, load_object
from marketpipeline.topics import TopicKind
from marketpipeline_operator.builders import Process, build, processes
from marketpipeline_operator.builders.context import JobState
from marketpipeline_operator.chart import values_schema_json
from marketpipeline_operator.crd import custom_resource_definition
from marketpipeline_operator.flink.health import JobHealth
from marketpipeline_operator.flink.lifecycle import JobDecision
from marketpipeline_operator.observe.components import ComponentState
from marketpipeline_operator.observe.topics import TopicsState
from marketpipeline_operator.status.conditions import Findings, conditions_of
from toys.jsonlines import SINK, JsonLinesSettings

from tests.conftest import wait_for
from tests.operator.builders.support import context_of
from tests.services.sinks.running import SinkProcess
from tests.services.sinks.samples import BTC, alert, trade
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker
from tests.support.postgres import PASSWORD
from tests.support.server import RunningServer

TOKEN = {"tokenSecret": {"name": "lines", "key": "token"}}
SINKS = {"jsonlines": {"url": "file:///data", "resources": {"memory": "64Mi"}} | TOKEN}


def pipeline(sinks: dict[str, Any] | None = None, **spec: Any) -> MarketPipeline:
    body = {"symbols": ["binance:BTCUSDT"], "sinks": SINKS if sinks is None else sinks} | spec
    head = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "crypto"}}
    return load_object(head | {"spec": body})


def refused(sinks: dict[str, Any], **spec: Any) -> str:
    with pytest.raises(InvalidSpec) as caught:
        pipeline(sinks, **spec)
    return str(caught.value)


def test_the_spec_has_its_section_with_its_own_fields() -> None:
    found = pipeline().spec.sinks.of("jsonlines")
    assert (found.url, found.batch_rows, found.token_secret.name) == ("file:///data", 1_000, "lines")
    assert pipeline({}).spec.sinks.of("jsonlines") is None
    assert "spec.sinks.jsonlines.url: 'http://x': must be a URL that starts with file://" in refused(
        {"jsonlines": {"url": "http://x"}}
    )
    assert "spec.sinks.jsonlines.url: '(absent)': is required" in refused({"jsonlines": {}})
    assert f"known here: {', '.join(sink_kinds())}" in refused({"jsonline": {}})


def test_a_store_that_nobody_can_read_serves_no_api() -> None:
    others = {"timescale": {"enabled": False}, "redis": {"enabled": False}}
    assert "api.enabled needs at least one sink" in refused(SINKS | others)
    assert pipeline(SINKS | others, api={"enabled": False}).spec.sinks.of("jsonlines").enabled


def test_the_crd_has_the_same_section() -> None:
    (version,) = custom_resource_definition()["spec"]["versions"]
    sinks = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["sinks"]
    found = sinks["properties"]["jsonlines"]
    assert found["required"] == ["url"]
    assert (
        found["properties"]["url"]["x-kubernetes-validations"][0]["message"] == "must be a URL that starts with file://"
    )
    assert {"enabled", "batchRows", "flushInterval", "replicas", "resources", "tokenSecret"} < found[
        "properties"
    ].keys()
    assert "jsonlines" not in sinks["default"]


def test_the_plan_runs_it() -> None:
    found = plan(pipeline())
    workload = found.workload("sink-jsonlines")
    assert JsonLinesSettings(**workload.settings).store.folder == "/data/crypto"
    assert workload.settings["consumer_group"] == "crypto.sink-jsonlines"
    assert [(secret.variable, secret.secret) for secret in workload.secrets] == [
        ("MARKETPIPELINE_STORE__TOKEN", "lines")
    ]
    assert workload.memory == "64Mi"
    (job,) = [job for job in found.scheduled_jobs if job.name == "sweep-lines"]
    assert (job.component, job.schedule) == (Component("sweep-lines"), "30 4 * * *")
    assert "sink-jsonlines  " in plan_as_text(found)
    assert "jsonlines" not in plan_as_text(plan(pipeline({})))


def test_its_commands_images_and_values() -> None:
    for name in ("sink-jsonlines", "sweep-lines"):
        assert commands()[name].extra == "kafka"
        assert f"{name}: kafka\n" in components_yaml()
        assert f'"{name}"' in values_schema_json()
    assert programs()[Component("sink-jsonlines")].settings is JsonLinesSettings
    done = subprocess.run(
        [sys.executable, "-m", "marketpipeline", "--help"], capture_output=True, text=True, check=True
    )
    assert "sink-jsonlines" in done.stdout
    assert SINK.summary in done.stdout


def test_the_operator_builds_it() -> None:
    things = {(thing["kind"], thing["metadata"]["name"]): thing for thing in build(context_of(sinks=SINKS))}
    pod = things["Deployment", "crypto-sink-jsonlines"]["spec"]["template"]["spec"]["containers"][0]
    assert pod["image"] == "marketpipeline/sink-jsonlines:1"
    assert pod["env"][0]["valueFrom"] == {"secretKeyRef": {"name": "lines", "key": "token"}}
    assert pod["resources"]["requests"]["memory"] == "64Mi"
    assert ("ConfigMap", "crypto-sink-jsonlines") in things
    assert ("CronJob", "crypto-sweep-lines") in things


@pytest.mark.parametrize("ready", [0, 1])
def test_the_status_is_not_ready_without_it(ready: int) -> None:
    context = context_of(sinks=SINKS)

    def state(process: Process) -> ComponentState:
        return ComponentState(process.name, 1, ready if process.name == "sink-jsonlines" else 1)

    topics = TopicsState("admin", 1, 1, known=True, applied=None, thresholds=None)
    job = JobDecision(JobState(), JobHealth(True, "RUNNING", reason="Running"))
    found = Findings([(process, state(process)) for process in processes(context)], topics, job)
    conditions = {condition.type: condition for condition in conditions_of(context, found)}
    assert conditions["Ready"].status is bool(ready)
    assert conditions["SinksReady"].status is bool(ready)
    assert f"sink-jsonlines {ready}/1" in conditions["SinksReady"].message


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    folder = StateFolder.open(tmp_path / "state", "crypto", "simulated")
    yield folder
    folder.close()


def assembled(state: StateFolder) -> LocalStack:
    places = LocalSettings(kafka_jars=Path("/jars"), flink_python=Path("/flink/bin/python"))
    java = Java(program="/java/bin/java", home="/java", version=17)
    return assemble(pipeline(), plan(pipeline()), RunOptions(), state, places, java)


def test_one_machine_runs_it_with_its_own_server(state: StateFolder, tmp_path: Path) -> None:
    stack = assembled(state)
    (sink,) = [service for service in stack.sinks if service.name == "sink-jsonlines"]
    assert list(sink.after) == [TOPICS, "folder"]
    settings = JsonLinesSettings.load(state.path / "settings" / "sink-jsonlines.json")
    assert settings.store.folder == str(state.path / "folder"), "the address of this machine, not that of the spec"
    assert JsonLinesSettings.load(state.path / "settings" / "sweep-lines.json").store == settings.store
    assert "sweep-lines" in {scheduled.name for scheduled in stack.scheduled}
    assert "folder" in stack.stop_stages[-1]
    server = RunningServer(stack.servers["jsonlines"], tmp_path / "log")
    server.start()
    server.stop()


def test_its_process_stores_and_a_drain_waits_for_it(broker: RunningBroker, tmp_path: Path) -> None:
    topics = Topics(broker)
    planned = plan(pipeline(broker={"topicPrefix": topics.prefix}))
    (group,) = [group for group in groups_of_sinks(planned) if group.name == "sink-jsonlines"]
    assert {topic.kind for topic in group.topics} == {TopicKind.TRADES, TopicKind.ALERTS}
    topics.put(trade(1), trade(2), alert(0))
    caught_up = CaughtUp(Offsets(topics.kafka), [group])
    first = wait_for(lambda: _looked(caught_up), "the broker says how far the group is")
    assert not first.done, "nothing is stored yet"
    process = SinkProcess(tmp_path, "sink-jsonlines", topics, {"folder": str(tmp_path / "lines")}, secret="token")
    try:
        process.start()
        wait_for(lambda: (seen := _looked(caught_up)) and seen.done, "the sink has stored what was there")
    finally:
        process.close()
    lines = [json.loads(line) for line in (tmp_path / "lines" / "trade.jsonl").read_text().splitlines()]
    assert {(line["symbol"], line["token"]) for line in lines} == {(BTC, PASSWORD)}
    assert len(lines) == 2
    assert len((tmp_path / "lines" / "alert.jsonl").read_text().splitlines()) == 1


def test_its_job_is_a_command(tmp_path: Path) -> None:
    (tmp_path / "trade.new").touch()
    job = next(job for job in plan(pipeline()).scheduled_jobs if job.name == "sweep-lines")
    settings = job.settings | {"store": {"folder": str(tmp_path)}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "marketpipeline", job.component.value, "--config", str(tmp_path / "settings.json")]
    assert subprocess.run(command, env=os.environ, check=False).returncode == 0
    assert not (tmp_path / "trade.new").exists()


def _looked(caught_up: CaughtUp) -> Look | None:
    """A look, or None while the broker is still loading what it knows of the group."""
    try:
        return caught_up.look()
    except RetryableError:
        return None
