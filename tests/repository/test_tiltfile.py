"""The Tiltfile runs in Tilt's own language, names only what exists, and what it hands to the cluster is right.

Tilt itself needs Docker. tests/helm/tools/tiltfile runs the file and tells what it asks of Tilt.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from marketpipeline.cli.main import commands
from marketpipeline.plan import Component, plan
from marketpipeline.simulator.faults import FAULTS
from marketpipeline.simulator.simulation.scenarios import SCENARIOS
from marketpipeline.spec import load_object
from marketpipeline_operator.names import PIPELINE
from marketpipeline_operator.settings import OperatorSettings

from tests.conftest import PROJECT
from tests.helm.marketpipeline_operator.support import Helm
from tests.support.tools import tool

Call = dict[str, Any]
WORKLOADS = ("Deployment", "StatefulSet", "MarketPipeline")


def run(*flags: str, folder: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    command = [tool("tiltfile"), str(folder / "Tiltfile"), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(params=[(), ("live",), ("replay=a.gz",)], ids=["simulated", "live", "replayed"])
def calls(request: pytest.FixtureRequest) -> list[Call]:
    done = run(*request.param)
    assert done.returncode == 0, done.stderr
    found: list[Call] = json.loads(done.stdout)
    return found


def named(calls: list[Call], name: str) -> list[Call]:
    return [call for call in calls if call["name"] == name]


def builds(calls: list[Call]) -> dict[str, Call]:
    return {call["args"][0]: call["kwargs"] for call in named(calls, "docker_build")}


def charts(calls: list[Call], home: Path) -> dict[str, list[dict[str, Any]]]:
    """What each chart gives with the values that the file sets, but for tests, which Tilt leaves out."""
    found = {}
    for call in named(calls, "helm"):
        given = call["kwargs"]
        options = [part for value in given["set"] for part in ("--set", value)]
        options += [part for file in given.get("values", []) for part in ("--values", str(PROJECT / file))]
        chart = PROJECT / call["args"][0]
        done = Helm(tool("helm"), home)("template", given["name"], chart, "--namespace", given["namespace"], *options)
        assert done.returncode == 0, done.stderr
        things = [thing for thing in yaml.safe_load_all(done.stdout) if thing]
        found[given["name"]] = [thing for thing in things if hooked(thing) != "test"]
    return found


def hooked(thing: dict[str, Any]) -> str | None:
    found: str | None = thing["metadata"].get("annotations", {}).get("helm.sh/hook")
    return found


def applied(calls: list[Call], home: Path) -> list[dict[str, Any]]:
    """All that Tilt hands to the cluster."""
    files = [text for (text,) in (call["args"] for call in named(calls, "k8s_yaml")) if text.endswith(".yaml")]
    things = [thing for file in files for thing in yaml.safe_load_all((PROJECT / file).read_text())]
    return [*things, *(thing for chart in charts(calls, home).values() for thing in chart)]


def images_in(thing: Any) -> Iterator[str]:
    if isinstance(thing, dict):
        for key, value in thing.items():
            if key == "image":
                yield value
            yield from images_in(value)
    elif isinstance(thing, list):
        for part in thing:
            yield from images_in(part)


def test_every_image_is_built_from_what_its_dockerfile_copies(calls: list[Call]) -> None:
    for name, given in builds(calls).items():
        lines = re.findall(r"^COPY (?!--from)(.+)$", given["dockerfile_contents"], flags=re.MULTILINE)
        copied = {part for line in lines for part in line.split()[:-1]}
        assert copied, name
        folder = PROJECT if name != "marketpipeline/replay" else None
        for part in [*copied, *given["only"]] if folder else []:
            assert (PROJECT / part).exists(), (name, part)
        for part in copied:
            assert any(Path(part).is_relative_to(only) for only in given["only"]), (name, part)
        for only in given["only"]:
            assert any(Path(part).is_relative_to(only) for part in copied), f"{name}: {only} is not copied"


def test_what_is_copied_is_in_the_context_of_a_build(calls: list[Call]) -> None:
    kept = re.findall(r"^!(\S+)$", (PROJECT / ".dockerignore").read_text(), flags=re.MULTILINE)
    for name, given in builds(calls).items():
        for only in given["only"] if name != "marketpipeline/replay" else []:
            assert any(Path(only).is_relative_to(part) for part in kept), (name, only)


def test_changed_code_is_put_where_a_pod_may_write_and_its_process_begins_anew(
    calls: list[Call], tmp_path: Path
) -> None:
    """In every image of Python services; operator and pipeline say by a variable that code there comes first."""
    for name, given in builds(calls).items():
        if name in ("marketpipeline/stream-job", "marketpipeline/simulator", "marketpipeline/replay"):
            continue
        first, *syncs, last = given["live_update"]
        assert set(first["args"][0]) < set(given["only"]), "what a full build is for"
        for step in syncs:
            source, target = step["args"]
            assert any(Path(source).is_relative_to(only) for only in given["only"])
            assert target == f"/tmp/live/{Path(source).name}"
        assert "kill -HUP 1" in last["args"][0]
        assert "tilt/sitecustomize.py" in given["dockerfile_contents"]
    things = applied(calls, tmp_path)
    (pipeline,) = [thing for thing in things if thing["kind"] == "MarketPipeline"]
    (operator,) = [
        thing for thing in things if thing["metadata"]["name"] == "marketpipeline-operator" and "spec" in thing
    ]
    variable = {"name": "PYTHONPATH", "value": "/tmp/live"}
    assert pipeline["spec"]["pods"]["env"] == [variable]
    assert variable in operator["spec"]["template"]["spec"]["containers"][0]["env"]


def test_a_process_begins_anew_with_the_code_that_came(tmp_path: Path) -> None:
    """The process keeps its id, so no container ends."""
    live, rest = tmp_path / "live", tmp_path / "rest"
    for folder, text in ((rest, "VERSION = 'old'"), (live, None)):
        folder.mkdir()
        if text:
            (folder / "changing.py").write_text(text)
    shutil.copy(PROJECT / "tilt" / "sitecustomize.py", rest)
    program = "import changing, os, time; print(os.getpid(), changing.VERSION, flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", program], env={"PYTHONPATH": f"{live}:{rest}"}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{process.pid} old\n"
            (live / "changing.py").write_text("VERSION = 'new'")
            process.send_signal(signal.SIGHUP)
            assert process.stdout.readline() == f"{process.pid} new\n"
        finally:
            process.kill()


def test_each_component_gets_the_extra_of_its_command(calls: list[Call]) -> None:
    found = builds(calls)
    for component in set(Component) - {Component.STREAM_JOB}:
        assert found[f"marketpipeline/{component.value}"]["build_args"] == {"COMPONENT": commands()[component].extra}
    text = (PROJECT / "images" / "flink-job" / "Dockerfile").read_text()
    assert found["marketpipeline/stream-job"]["dockerfile_contents"] == text


def test_the_operator_is_told_of_every_image_that_it_starts(calls: list[Call], tmp_path: Path) -> None:
    """By its environment, where Tilt puts in the tag that it has built; and the operator takes these for its own."""
    things = charts(calls, tmp_path)["marketpipeline-operator"]
    (deployment,) = [thing for thing in things if thing["kind"] == "Deployment"]
    variables = {v["name"]: v["value"] for v in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items() - {("PYTHONPATH", "/tmp/live")}:
            patch.setenv(name, f"{value}:tilt-1")
        images = OperatorSettings.load(None).images
    for component in Component:
        assert images.of(component) == f"marketpipeline/{component.value}:tilt-1"
        assert builds(calls)[f"marketpipeline/{component.value}"]["match_in_env_vars"] is True


def test_every_image_that_runs_is_built_and_every_other_is_started_by_the_operator(
    calls: list[Call], tmp_path: Path
) -> None:
    run_by_name = {image.rpartition(":")[0] for image in images_in(applied(calls, tmp_path))}
    ours = {name for name in run_by_name if name.startswith("marketpipeline/")}
    by_operator = {name for name, given in builds(calls).items() if given.get("match_in_env_vars")}
    below = {"marketpipeline/simulator"} if "marketpipeline/replay" in ours else set()
    assert ours | by_operator | below == builds(calls).keys()
    assert not ours & by_operator


def test_the_pipeline_is_the_quickstart_in_the_stack(calls: list[Call], tmp_path: Path) -> None:
    things = applied(calls, tmp_path)
    assert not [thing for thing in things if hooked(thing)], "Tilt would run a hook when it begins"
    (thing,) = [thing for thing in things if thing["kind"] == "MarketPipeline"]
    pipeline = load_object(thing)
    quickstart = yaml.safe_load((PROJECT / "manifests" / "quickstart.yaml").read_text())
    assert pipeline.name == quickstart["metadata"]["name"]
    assert thing["spec"]["symbols"] == quickstart["spec"]["symbols"]
    assert plan(pipeline).workloads
    assert not [thing["metadata"]["name"] for thing in things if thing["kind"] == "Secret" and "data" in thing]
    (passwords,) = [call for call in named(calls, "local_resource") if call["args"] == ["passwords"]]
    keys = set(re.findall(r"--from-literal=(\w+)=", passwords["kwargs"]["cmd"]))
    named_keys = re.findall(
        r'"name": "passwords", "key": "(\w+)"|"key": "(\w+)", "name": "passwords"', json.dumps(things)
    )
    assert keys == {first or second for first, second in named_keys}


def test_the_exchange_is_simulated_unless_the_real_one_or_a_capture_is_asked_for(tmp_path: Path) -> None:
    def exchange(*flags: str) -> dict[str, Any] | None:
        found = applied(json.loads(run(*flags).stdout), tmp_path)
        (pipeline,) = [thing for thing in found if thing["kind"] == "MarketPipeline"]
        simulators = [thing for thing in found if thing["metadata"]["name"] == "market-stack-simulator"]
        pods = [thing["spec"]["template"]["spec"] for thing in simulators if thing["kind"] == "Deployment"]
        assert bool(pods) == ("ingestion" in pipeline["spec"] and "restUrls" in pipeline["spec"]["ingestion"])
        return pods[0]["containers"][0] if pods else None

    assert exchange("live") is None
    simulated, replayed = exchange(), exchange("replay=a.gz")
    assert simulated
    assert replayed
    assert "--replay" not in simulated["args"]
    assert replayed["args"][-3:] == ["--replay", "/captures/a.gz", "--settle=5"]
    assert replayed["image"].startswith("marketpipeline/replay:")


def test_resources_wait_only_for_resources_that_exist(calls: list[Call], tmp_path: Path) -> None:
    things = applied(calls, tmp_path)
    workloads = {thing["metadata"]["name"] for thing in things if thing["kind"] in WORKLOADS}
    objects = {f"{thing['metadata']['name']}:{thing['kind'].lower()}" for thing in things}
    known = set(workloads) | {call["args"][0] for call in named(calls, "local_resource")}
    for call in named(calls, "k8s_resource"):
        assert set(call["args"]) <= workloads
        assert set(call["kwargs"].get("objects", [])) <= objects
        if name := call["kwargs"].get("new_name"):
            known = (known - set(call["args"])) | {name}
    for call in [*named(calls, "k8s_resource"), *named(calls, "local_resource")]:
        assert set(call["kwargs"].get("resource_deps", [])) <= known, call
    assert {call["kwargs"]["resource"] for call in named(calls, "cmd_button")} <= known
    assert workloads.isdisjoint(known - {"quickstart"}), "each has a name of its own"
    selectors = [call["kwargs"].get("extra_pod_selectors") for call in named(calls, "k8s_resource")]
    assert [{PIPELINE: "quickstart"}] in selectors


def test_forwards_lead_to_ports_that_the_parts_serve(calls: list[Call], tmp_path: Path) -> None:
    pods = {
        thing["metadata"]["name"]: thing["spec"]["template"]["spec"]["containers"][0]
        for thing in applied(calls, tmp_path)
        if thing["kind"] in WORKLOADS and "template" in thing["spec"]
    }
    local = []
    for call in named(calls, "k8s_resource"):
        for forward in call["kwargs"].get("port_forwards", []):
            here, there = forward["args"]
            local.append(here)
            assert there in [port["containerPort"] for port in pods[call["args"][0]]["ports"]], call
    assert len(local) == len(set(local))
    assert {3000, 8080} <= set(local)


def test_buttons_ask_the_exchange_for_what_it_knows(calls: list[Call]) -> None:
    for what, known in {"scenario": SCENARIOS, "fault": FAULTS}.items():
        for button in [call for call in named(calls, "cmd_button") if call["args"] == [what]]:
            (_, _, choices), _ = (
                given["args"] + [None] * (3 - len(given["args"])) for given in button["kwargs"]["inputs"]
            )
            assert set(choices) <= set(known)
            assert f"/control/{what}s/$CHOICE" in button["kwargs"]["argv"][-1]
    live = "simulator.enabled=false" in named(calls, "helm")[1]["kwargs"]["set"]
    assert len(named(calls, "cmd_button")) == (0 if live else 4)


def read_by_kind(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("clusterfile"), str(file)], capture_output=True, text=True, timeout=60, check=False)


def test_the_cluster_file_names_a_registry_and_a_cluster_of_kind() -> None:
    file = PROJECT / "tilt" / "ctlptl.yaml"
    done = read_by_kind(file)
    assert done.returncode == 0, done.stderr
    registry, cluster = yaml.safe_load_all(file.read_text())
    assert (registry["kind"], cluster["kind"], cluster["product"]) == ("Registry", "Cluster", "kind")
    assert cluster["registry"] == registry["name"]
    assert cluster["name"].startswith("kind-"), "as kind names its context"


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("role: control-plane", "roll: control-plane", 'document 2: .*unknown field "roll"'),
        ("port: 5005", "port: none", "document 1: .*registry.port of type int"),
        ("product: kind", "produces: kind", 'document 2: .*unknown field "produces"'),
        ("v1alpha1\nkind: Registry", "v1\nkind: Registry", 'document 1: apiVersion is "ctlptl.dev/v1"'),
    ],
)
def test_a_mistake_in_the_cluster_file_is_found(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    text = (PROJECT / "tilt" / "ctlptl.yaml").read_text()
    assert right in text
    (tmp_path / "ctlptl.yaml").write_text(text.replace(right, wrong))
    done = read_by_kind(tmp_path / "ctlptl.yaml")
    assert done.returncode == 1
    assert re.search(said, done.stderr), done.stderr


def test_a_mistake_in_the_file_is_found(tmp_path: Path) -> None:
    """Of the language's grammar, and of a name that Tilt does not have."""
    for name in ("images", "manifests", "tilt"):
        (tmp_path / name).symlink_to(PROJECT / name)
    shutil.copy(PROJECT / "Tiltfile", tmp_path / "Tiltfile")
    assert run(folder=tmp_path).returncode == 0
    for wrong, said in (("k8s_yml('x')\n", "undefined: k8s_yml"), ("import os\n", "got import")):
        (tmp_path / "Tiltfile").write_text((PROJECT / "Tiltfile").read_text() + wrong)
        done = run(folder=tmp_path)
        assert done.returncode == 1
        assert said in done.stderr
