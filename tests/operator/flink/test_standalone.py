"""A real JobManager and TaskManager with the arguments that the operator renders, running the project's own job.

It is stopped with a savepoint through the REST port, as a suspension and an upgrade do, and it is lost; started again
with the same arguments it finds what fits by itself.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from marketpipeline.errors import RetryableError
from marketpipeline.plan import StreamJob
from marketpipeline.settings import KafkaSettings
from marketpipeline.topic_admin import ensure_topics, publish_thresholds
from marketpipeline.topics import TopicKind
from marketpipeline_operator.builders import Context
from marketpipeline_operator.builders.standalone import job_manager, task_manager
from marketpipeline_operator.builders.stream_job import job_config_map
from marketpipeline_operator.flink.kept_savepoints import remove_savepoint, take_savepoint
from marketpipeline_operator.flink.rest import FlinkRest, JobView
from marketpipeline_operator.flink.savepoint import stop_job
from marketpipeline_operator.names import Object

from tests.conftest import FLINK_PYTHON, JARS, free_port, require
from tests.operator.builders.support import context_of
from tests.operator.support import eventually
from tests.support.broker import RunningBroker
from tests.support.tied import tied


class Flink:
    """Flink's own scripts, with a home and ports of the test's own."""

    def __init__(self, folder: Path, context: Context) -> None:
        self.folder = folder
        self.context = context
        self.rest = free_port()
        self.ports = {"jobmanager.rpc.port": free_port(), "blob.server.port": free_port()}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.home = folder / "flink"
        self.home.mkdir()
        wheel = next((FLINK_PYTHON.parents[1] / "lib").glob("python3*/site-packages/pyflink"))
        for name in (
            "bin",
            "lib",
            "opt",
        ):  # real ones: Flink's scripts look for their home and for jars without following links
            shutil.copytree(wheel / name, self.home / name, copy_function=_linked)
        for name in ("plugins", "conf"):
            (self.home / name).symlink_to(wheel / name)
        for jar in (JARS / "flink").iterdir():
            _linked(str(jar), str(self.home / "lib" / jar.name))
        (self.home / "log").mkdir()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.rest}"

    def start(self, deployment: Object, script: str) -> subprocess.Popen[bytes]:
        """Start what the container of a Deployment would run: its arguments behind the image's entry point."""
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        given = container.get("command", []) + container["args"]
        arguments = [self._here(part) for part in given[given.index(script) + 1 :]]
        ports = self.ports if script == "standalone-job" else {"jobmanager.rpc.port": self.ports["jobmanager.rpc.port"]}
        own = [f"-D{key}={value}" for key, value in ports.items()]
        own += [f"-Drest.port={self.rest}", f"-Drest.bind-port={self.rest}", f"-Dio.tmp.dirs={self.folder}"]
        own += ["-Dmetrics.reporter.prom.port=19249-19349", "-Dtaskmanager.host=127.0.0.1", "-Dtaskmanager.rpc.port=0"]
        settings = [part for part in arguments if part.startswith("-D") and not _taken(part, own)]
        rest = [part for part in arguments if not part.startswith("-D")]
        environment = os.environ | {
            "FLINK_HOME": str(self.home),
            "FLINK_CONF_DIR": str(self.home / "conf"),
            "FLINK_LOG_DIR": str(self.home / "log"),
            "FLINK_PID_DIR": str(self.folder),
            "PATH": f"{FLINK_PYTHON.parent}:{os.environ['PATH']}",
        }
        command = [str(self.home / "bin" / f"{script}.sh"), "start-foreground", *settings, *own, *rest]
        with (self.folder / f"{script}.log").open("ab") as log:
            process = subprocess.Popen(tied(command), env=environment, stdout=log, stderr=log, cwd=self.folder)
        self.processes.append(process)
        return process

    def _here(self, argument: str) -> str:
        for name in ("jobmanager.rpc.address", "rest.address"):
            if argument.startswith(f"-D{name}="):
                return f"-D{name}=127.0.0.1"
        return argument.replace("/etc/marketpipeline", str(self.folder))

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in self.folder.glob("*.log"))

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _taken(argument: str, own: list[str]) -> bool:
    return any(argument.partition("=")[0] == mine.partition("=")[0] for mine in own)


@pytest.fixture
def flink(broker: RunningBroker, tmp_path: Path) -> Iterator[Flink]:
    require(FLINK_PYTHON.exists(), "no flink-jobs/.venv: run `make setup`")
    require((JARS / "flink").is_dir(), "no .cache/jars/flink: run `make setup`")
    spec: dict[str, Any] = {
        "broker": {"bootstrapServers": broker.address, "topicPrefix": broker.prefix(), "partitions": 1},
        "processing": {
            "mode": "standalone",
            "checkpointDirectory": (tmp_path / "state").as_uri(),
            "checkpointClaim": "claim",
            "checkpointInterval": "1s",
            "resources": {"cpu": "1", "memory": "1200Mi"},
        },
    }
    context = context_of(feeds=["trades"], windows=["1m"], **spec)
    assert context.plan.stream_job is not None
    settings = KafkaSettings(bootstrap_servers=broker.address)
    ensure_topics(settings, context.plan.topics)
    thresholds = context.plan.topic(TopicKind.THRESHOLDS)
    assert thresholds is not None
    publish_thresholds(settings, thresholds, context.plan.thresholds)
    document = json.loads(job_config_map(context, context.plan.stream_job)["data"]["settings.json"])
    (tmp_path / "settings.json").write_text(json.dumps(document))
    running = Flink(tmp_path, context)
    yield running
    running.stop()


async def running_job(flink: Flink) -> JobView:
    rest, refusals = FlinkRest(), list[str]()

    async def running() -> JobView | None:
        assert all(process.poll() is None for process in flink.processes), flink.logs()
        try:
            job = await rest.job(flink.address)
        except RetryableError as error:
            refusals.append(str(error))
            return None
        return job if job and job.state == "RUNNING" else None

    try:
        view = await eventually(running, "a running job", seconds=150, every=0.1)
        assert not [text for text in refusals if "status 500" in text], "a job that is starting is no failure"
        return view
    except pytest.fail.Exception:
        pytest.fail(flink.logs())


def begin(flink: Flink, context: Context, job: StreamJob) -> subprocess.Popen[bytes]:
    """Start the JobManager and a TaskManager, always with the same arguments; gives the JobManager."""
    manager = flink.start(job_manager(context, job), "standalone-job")
    flink.start(task_manager(context, job), "taskmanager")
    return manager


def path_of(uri: str) -> str:
    """The path of a local URI, which Flink writes with one slash or three."""
    return urlsplit(uri).path


async def restored_from(flink: Flink, view: JobView) -> str:
    """The path of the state that a job began with, as Flink tells it."""
    checkpoints = await FlinkRest()._call("GET", f"{flink.address}/jobs/{view.id}/checkpoints")
    return path_of(str(checkpoints["latest"]["restored"]["external_path"]))


@pytest.mark.timeout(470)
async def test_whenever_the_job_starts_it_goes_on_from_the_newest_state_that_fits(flink: Flink) -> None:
    job = flink.context.plan.stream_job
    assert job is not None
    first = begin(flink, flink.context, job)
    began = await running_job(flink)
    assert began.directory is not None
    assert (began.origin, began.directory) == ("new", f"{(flink.folder / 'state').as_uri()}/{state_folder(flink)}")
    settings = flink.context.settings
    here = settings.model_copy(
        update={"flink": settings.flink.model_copy(update={"rest_url": flink.address, "savepoint_timeout": 60})}
    )
    context = replace(flink.context, settings=here)

    async def checkpointed() -> str | None:
        now = await FlinkRest().job(flink.address)
        return now.checkpoint if now else None

    await eventually(checkpointed, "a checkpoint", every=0.2)
    kept = [await take_savepoint(FlinkRest(), flink.address, began, 60) for _ in range(2)]
    assert all(path_of(place).startswith(f"{path_of(began.directory)}/savepoints/savepoint-") for place in kept)
    assert await remove_savepoint(FlinkRest(), flink.address, kept[0])
    assert path_of(kept[0]) not in glob.glob(f"{path_of(began.directory)}/savepoints/*")
    assert await remove_savepoint(FlinkRest(), flink.address, kept[0]), "it is gone, whoever removed it"
    stopped = await stop_job(FlinkRest(), context)
    assert stopped.savepoint is not None, stopped.message
    savepoint = path_of(stopped.savepoint)
    assert savepoint.startswith(f"{path_of(began.directory)}/savepoint-")
    assert first.poll() is None, "a JobManager that ended with its job would be started again with it"
    again = await stop_job(FlinkRest(), context)
    assert again.savepoint == stopped.savepoint, "an operator that was killed after the stop finds it"
    flink.stop()

    begin(flink, context, job)
    view = await running_job(flink)
    assert await restored_from(flink, view) == savepoint
    assert (view.origin, view.directory) == ("restored", began.directory)
    assert [path_of(place) for place, _ in view.savepoints or ()] == [path_of(kept[1])], "the job has looked"
    assert savepoint in view.reason
    await eventually(checkpointed, "a checkpoint", every=0.2)

    async def used_up() -> bool:
        return not os.path.exists(savepoint)  # noqa: ASYNC240 - a local folder, for a moment

    await eventually(used_up, "what the stop left, removed by Flink")
    for process in flink.processes:
        process.kill()
    flink.stop()

    begin(flink, context, job)
    view = await running_job(flink)
    restored = await restored_from(flink, view)
    assert restored.startswith(f"{path_of(began.directory)}/"), "a lost JobManager costs no state"
    assert "/chk-" in restored
    flink.stop()

    document = json.loads((flink.folder / "settings.json").read_text()) | {"windows": ["1m", "5m"]}
    (flink.folder / "settings.json").write_text(json.dumps(document))
    begin(flink, context, job)
    view = await running_job(flink)
    assert view.origin == "unfit"
    assert "its queries are others" in view.reason
    assert view.directory != began.directory


def state_folder(flink: Flink) -> str:
    [folder] = [path.name for path in (flink.folder / "state").iterdir() if path.name.startswith("state-")]
    return folder
