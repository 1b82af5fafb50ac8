"""Each image of the project: who it runs as, that its command is there, and that nothing of its build is left in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster.image import COMPONENTS, OPERATOR, SIMULATOR, STREAM_JOB, Image
from tests.cluster.kubectl import Kubectl
from tests.cluster.stack import await_service_account, run_python

BARE = """
    import importlib.util, os, shutil
    left = ["/src", "/dist", "/wheels", "/etc/pip.conf", "/etc/mavenrc", "/etc/machine-cacerts", "/root/.m2"]
    print(os.getuid(), os.access("/opt/venv/bin", os.W_OK))
    print([path for path in left if os.path.isfile(path) and os.path.getsize(path) or os.path.isdir(path)])
    print([tool for tool in ("uv", "hatchling", "mvn", "javac", "gcc") if shutil.which(tool)])
    print([name for name in ("pip", "pytest", "hatchling", "kopf", "pyflink") if importlib.util.find_spec(name)])
"""


@pytest.fixture
def run(kubectl: Kubectl, built: Callable[[Image], None]) -> Callable[[Image, str], list[str]]:
    def lines(image: Image, program: str) -> list[str]:
        built(image)
        await_service_account(kubectl)
        return run_python(kubectl, image, program).splitlines()

    return lines


@pytest.mark.parametrize("image", [*COMPONENTS, SIMULATOR], ids=lambda image: image.name)
def test_a_services_image_has_its_command_and_nothing_of_its_build(
    run: Callable[[Image, str], list[str]], image: Image
) -> None:
    program = f"""
    import subprocess
    asked = subprocess.run(["marketpipeline", "{image.name}", "--config", "/absent"], capture_output=True, text=True)
    print(asked.returncode, "must be readable JSON" in asked.stderr)
    """
    assert run(image, BARE + program) == ["65532 False", "[]", "[]", "[]", "2 True"]


def test_the_operators_image_has_the_operator(run: Callable[[Image, str], list[str]]) -> None:
    program = "    import marketpipeline_operator, kubernetes\n"
    assert run(OPERATOR, BARE + program) == ["65532 False", "[]", "[]", "['kopf']"]


def test_the_stream_jobs_image_has_flink_where_the_official_one_has_it(
    run: Callable[[Image, str], list[str]],
) -> None:
    program = """
    import glob, subprocess
    import marketpipeline_job
    jars = ("opt/flink-python-*.jar", "lib/flink-sql-connector-kafka-*.jar")
    print([len(glob.glob("/opt/flink/" + jar)) for jar in jars])
    ran = lambda *command: subprocess.run(command, capture_output=True, text=True, check=True).stdout
    print("Version: 2.2" in ran("/docker-entrypoint.sh", "flink", "--version"))
    print(os.path.getsize("/opt/java/lib/security/cacerts") > 50_000)
    """
    assert run(STREAM_JOB, BARE + program) == ["9999 False", "[]", "[]", "['pyflink']", "[1, 1]", "True", "True"]
