"""The Tiltfile runs in Tilt's own language, names only what exists, and what it hands to the cluster is right.

Tilt itself needs Docker. tests/helm/tools/tiltfile runs the file and tells what it asks of Tilt.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from marketpipeline.cli.main import commands
from marketpipeline.plan import Component, plan
from marketpipeline.spec import load_object
from marketpipeline_operator.names import PIPELINE
from marketpipeline_operator.settings import OperatorSettings

from tests.conftest import PROJECT
from tests.helm.marketpipeline_operator.support import Helm
from tests.support.tools import tool

Call = dict[str, Any]
WORKLOADS = ("Deployment", "MarketPipeline")


def run(*flags: str, folder: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    command = [tool("tiltfile"), str(folder / "Tiltfile"), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(params=[(), ("live",)], ids=["simulated", "live"])
def calls(request: pytest.FixtureRequest) -> list[Call]:
    done = run(*request.param)
    assert done.returncode == 0, done.stderr
    found: list[Call] = json.loads(done.stdout)
    return found


def named(calls: list[Call], name: str) -> list[Call]:
    return [call for call in calls if call["name"] == name]


def builds(calls: list[Call]) -> dict[str, Call]:
    return {call["args"][0]: call["kwargs"] for call in named(calls, "docker_build")}


def applied(calls: list[Call]) -> list[dict[str, Any]]:
    """What the file itself applies; the chart's objects are rendered by another test."""
    found = []
    for (text,) in (call["args"] for call in named(calls, "k8s_yaml")):
        source = (PROJECT / text).read_text() if text.endswith(".yaml") else text
        found += [thing for thing in yaml.safe_load_all(source) if thing]
    return found


def images_in(thing: Any) -> Iterator[str]:
    if isinstance(thing, dict):
        for key, value in thing.items():
            if key == "image":
                yield value
            yield from images_in(value)
    elif isinstance(thing, list):
        for part in thing:
            yield from images_in(part)


def rendered(calls: list[Call], home: Path) -> list[dict[str, Any]]:
    """What the chart gives with the values that the file sets."""
    (call,) = named(calls, "helm")
    options = [part for value in call["kwargs"]["set"] for part in ("--set", value)]
    where = ("--namespace", call["kwargs"]["namespace"])
    done = Helm(tool("helm"), home)("template", call["kwargs"]["name"], PROJECT / call["args"][0], *where, *options)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_every_image_is_built_from_what_its_dockerfile_copies(calls: list[Call]) -> None:
    for name, given in builds(calls).items():
        text = (PROJECT / given["dockerfile"]).read_text()
        lines = re.findall(r"^COPY (?!--from)(.+)$", text, flags=re.MULTILINE)
        copied = {part for line in lines for part in line.split()[:-1]}
        assert copied, name
        for part in [*copied, *given["only"]]:
            assert (PROJECT / part).exists(), (name, part)
        for part in copied:
            assert any(Path(part).is_relative_to(only) for only in given["only"]), (name, part)
        for only in given["only"]:
            assert any(Path(part).is_relative_to(only) for part in copied), f"{name}: {only} is not copied"


def test_each_component_gets_the_extra_of_its_command(calls: list[Call]) -> None:
    found = builds(calls)
    for component in set(Component) - {Component.STREAM_JOB}:
        assert found[f"marketpipeline/{component.value}"]["build_args"] == {"COMPONENT": commands()[component].extra}
    assert found["marketpipeline/stream-job"]["dockerfile"] == "images/flink-job/Dockerfile"


def test_the_operator_is_told_of_every_image_that_it_starts(calls: list[Call], tmp_path: Path) -> None:
    """By its environment, where Tilt puts in the tag that it has built; and the operator takes these for its own."""
    (deployment,) = [thing for thing in rendered(calls, tmp_path) if thing["kind"] == "Deployment"]
    variables = {v["name"]: v["value"] for v in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, f"{value}:tilt-1")
        images = OperatorSettings.load(None).images
    for component in Component:
        assert images.of(component) == f"marketpipeline/{component.value}:tilt-1"
        assert builds(calls)[f"marketpipeline/{component.value}"]["match_in_env_vars"] is True


def test_every_image_that_runs_is_built_and_every_other_is_started_by_the_operator(
    calls: list[Call], tmp_path: Path
) -> None:
    run_by_name = {image.rpartition(":")[0] for image in images_in([*applied(calls), *rendered(calls, tmp_path)])}
    by_operator = {name for name, given in builds(calls).items() if given["match_in_env_vars"]}
    assert run_by_name | by_operator == builds(calls).keys()
    assert not run_by_name & by_operator


def test_nothing_of_the_manifests_is_left_to_fill_in(calls: list[Call]) -> None:
    text = json.dumps(applied(calls))
    assert "${" not in text
    assert "$$" not in text
    assert "exec java -Xmx384m $options" in text


def test_the_pipeline_is_the_quickstart_with_addresses_that_exist(calls: list[Call]) -> None:
    things = applied(calls)
    (thing,) = [thing for thing in things if thing["kind"] == "MarketPipeline"]
    pipeline = load_object(thing)
    quickstart = yaml.safe_load((PROJECT / "manifests" / "quickstart.yaml").read_text())
    assert pipeline.name == quickstart["metadata"]["name"]
    assert thing["spec"]["symbols"] == quickstart["spec"]["symbols"]
    assert plan(pipeline).workloads
    services = {thing["metadata"]["name"] for thing in things if thing["kind"] == "Service"}
    hosts = set(re.findall(r"(?:@|//|\"bootstrapServers\": \")([a-z]+)(?=[.:])", json.dumps(thing["spec"])))
    assert hosts == services
    (secret,) = [thing for thing in things if thing["kind"] == "Secret"]
    for sink in ("timescale", "redis"):
        reference = thing["spec"]["sinks"][sink]["passwordSecret"]
        assert reference["name"] == secret["metadata"]["name"]
        assert reference["key"] in secret["stringData"]


def test_the_exchange_is_simulated_unless_the_real_one_is_asked_for() -> None:
    def deployments(*flags: str) -> dict[str, Any]:
        found = applied(json.loads(run(*flags).stdout))
        return {thing["metadata"]["name"]: thing for thing in found if thing["kind"] == "Deployment"}

    simulated = deployments()
    assert simulated.keys() - deployments("live").keys() == {"simulator"}
    pod = simulated["simulator"]["spec"]["template"]["spec"]
    assert "--replay" not in pod["containers"][0]["args"]
    assert "captures" not in json.dumps(pod)


def test_resources_wait_only_for_resources_that_exist(calls: list[Call], tmp_path: Path) -> None:
    things = [*applied(calls), *rendered(calls, tmp_path)]
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
    selectors = [call["kwargs"].get("extra_pod_selectors") for call in named(calls, "k8s_resource")]
    assert [{PIPELINE: "quickstart"}] in selectors


def test_a_mistake_in_the_file_is_found(tmp_path: Path) -> None:
    """Of the language's grammar, and of a name that Tilt does not have."""
    for name in ("images", "manifests", "tests"):
        (tmp_path / name).symlink_to(PROJECT / name)
    shutil.copy(PROJECT / "Tiltfile", tmp_path / "Tiltfile")
    assert run(folder=tmp_path).returncode == 0
    for wrong, said in (("k8s_yml('x')\n", "undefined: k8s_yml"), ("import os\n", "got import")):
        (tmp_path / "Tiltfile").write_text((PROJECT / "Tiltfile").read_text() + wrong)
        done = run(folder=tmp_path)
        assert done.returncode == 1
        assert said in done.stderr
