"""The stream job as the operator's Pods run it: their containers' arguments and variables, as processes of this host.

What the image has is laid out as there: Flink's distribution with the connector in `lib` and S3 among the plugins.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyflink
import pytest
from marketpipeline.plan import plan
from marketpipeline.spec import load_object
from marketpipeline_operator.builders import Context, build
from marketpipeline_operator.builders.pod import SETTINGS_FILE
from marketpipeline_operator.settings import OperatorSettings

from tests.conftest import JARS, PROJECT, free_port, wait_for
from tests.support.tied import tied

__all__ = ["JobPods"]


class JobPods:
    """A JobManager and a TaskManager. `secrets` are the Secrets that the spec names."""

    def __init__(self, folder: Path, spec: Mapping[str, Any], secrets: Mapping[str, Mapping[str, str]]) -> None:
        head = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "pods"}}
        pipeline = load_object({**head, "spec": spec})
        objects = build(Context(pipeline=pipeline, plan=plan(pipeline), uid="0", settings=OperatorSettings()))
        self._named = {(thing["kind"], thing["metadata"]["name"]): thing for thing in objects}
        self._secrets, self._folder, self.log = secrets, folder, folder / "pods.log"
        self._home = _distribution(folder / "flink")
        self._settings = folder / "settings.json"
        self._settings.write_text(self._named["ConfigMap", "pods-stream-job"]["data"]["settings.json"])
        self._ports = {name: free_port() for name in ("rest", "rpc", "blob")}
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start both and wait until the job runs."""
        self._processes = [self._start("jobmanager"), self._start("taskmanager")]
        wait_for(lambda: self.job().get("state") == "RUNNING", f"the job to run, see {self.log}", seconds=240, every=1)

    def kill(self) -> None:
        """End both as `kill -9` does."""
        for process in self._processes:
            process.kill()
            process.wait(timeout=30)
        self._processes = []

    def job(self) -> dict[str, Any]:
        """The one job as Flink shows it; empty where there is none yet."""
        found = self._ask("/jobs/overview").get("jobs") or [{}]
        return dict(found[0])

    def told(self) -> dict[str, str]:
        """What the job says of its state."""
        answer = self._ask(f"/jobs/{self.job()['jid']}/config")
        return dict(answer["execution-config"]["user-config"])

    def checkpoints(self) -> int:
        """How many it has completed since it started."""
        return int(self._ask(f"/jobs/{self.job()['jid']}/checkpoints")["counts"]["completed"])

    def configuration(self, name: str) -> str | None:
        """A setting of the JobManager as it runs."""
        found = {entry["key"]: entry["value"] for entry in self._ask("/jobmanager/config")}
        return found.get(name)

    def _ask(self, path: str) -> Any:
        if any(process.poll() is not None for process in self._processes):
            pytest.fail(f"a process of Flink ended: {self.log.read_text(errors='replace')[-3000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports['rest']}{path}", timeout=5) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError):
            return {}

    def _start(self, process: str) -> subprocess.Popen[bytes]:
        [container] = self._named["Deployment", f"pods-{process}"]["spec"]["template"]["spec"]["containers"]
        program, *arguments = (self._here(each) for each in container["args"])
        ports = [f"-Drest.port={self._ports['rest']}", f"-Djobmanager.rpc.port={self._ports['rpc']}"]
        command = [str(self._home / "bin" / f"{program}.sh"), "start-foreground", *ports, *arguments]
        with self.log.open("ab") as log:
            return subprocess.Popen(tied(command), env=self._environment(container), stdout=log, stderr=log)

    def _here(self, argument: str) -> str:
        """An argument of a container as it has to be where there is one host for all of them."""
        key, _, _ = argument.removeprefix("-D").partition("=")
        local = {
            "jobmanager.rpc.address": "127.0.0.1",
            "rest.address": "127.0.0.1",
            "blob.server.port": self._ports["blob"],
            "taskmanager.rpc.port": "0",
            "metrics.reporter.prom.port": "0",
            "io.tmp.dirs": self._folder / "tmp",
        }
        return f"-D{key}={local[key]}" if key in local else argument.replace(SETTINGS_FILE, str(self._settings))

    def _environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        given = {}
        for variable in container["env"]:
            source = variable["valueFrom"]["secretKeyRef"]
            given[variable["name"]] = self._secrets[source["name"]][source["key"]]
        (self._folder / "tmp").mkdir(exist_ok=True)
        paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        places = {"PATH": paths, "FLINK_HOME": str(self._home), "FLINK_CONF_DIR": str(self._home / "conf")}
        return {"HOME": str(self._folder), "AWS_EC2_METADATA_DISABLED": "true", **places, **given}


def _distribution(home: Path) -> Path:
    """Flink as its image has it; what is large is linked."""
    source = Path(pyflink.__file__).parent
    shutil.copytree(source / "bin", home / "bin")
    for folder, jars in (("lib", JARS / "flink"), ("opt", None)):
        (home / folder).mkdir()
        found = [*(source / folder).iterdir(), *(jars.iterdir() if jars else ())]
        for file in found:
            (home / folder / file.name).symlink_to(file)
    (home / "plugins").mkdir()
    for plugin in (source / "plugins").iterdir():
        (home / "plugins" / plugin.name).symlink_to(plugin)
    (home / "plugins" / "s3-fs-hadoop").symlink_to(JARS / "flink-s3")
    shutil.copytree(source / "conf", home / "conf")
    shutil.copy(PROJECT / "images" / "flink-job" / "log4j-console.properties", home / "conf")
    (home / "log").mkdir()
    return home
