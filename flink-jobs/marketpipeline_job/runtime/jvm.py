"""The JVM that an embedded Flink runs in: started here, ended with this process, and the other way round.

PyFlink would start it by itself, with a heap of a quarter of the machine, its log in the installed package, a pipe for
errors that nobody reads, and up to ten seconds of life after its parent was killed. So it is started here, by PyFlink's
own helpers for the class path, and PyFlink is told the port.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from marketpipeline.errors import InvalidInput, PermanentError, Problem
from pyflink import pyflink_gateway_server as gateway_server
from pyflink.find_flink_home import _find_flink_home

__all__ = ["start_jvm"]

_MAIN = "org.apache.flink.client.python.PythonGatewayServer"
_START_SECONDS = 60.0
_LOG_CONFIGURATION = Path(__file__).with_name("log4j2.properties")

_TUNING = (
    "-XX:+UseSerialGC",
    # The second compiler waits longer: at the start it spent more processor time on the planner than the planner.
    "-XX:Tier4InvocationThreshold=20000",
    "-XX:Tier4MinInvocationThreshold=3000",
    "-XX:Tier4CompileThreshold=60000",
    "-XX:Tier4BackEdgeThreshold=160000",
    # Classes come from jars whose hashes are known, and from Flink's own compiler: to verify them takes two seconds.
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-BytecodeVerificationRemote",
)
"""docs/decisions/0022, 0242."""


def start_jvm(
    java_home: str | None,
    heap_mb: int,
    log_level: str,
    temporary: Path,
    jars: Sequence[Path],
    variables: Mapping[str, str],
) -> subprocess.Popen[bytes]:
    """Start it and let PyFlink use it; what a killed JVM leaves behind is in `temporary`.

    `jars` are on its class path: loaded for each job, all that a job has read of them would be read again. `variables`
    are put into its environment.

    Raises InvalidInput without a Java, PermanentError when it does not come up.
    """
    java = str(Path(java_home) / "bin" / "java") if java_home else shutil.which("java")
    if java is None or not Path(java).exists():
        expected = "must be the home of a Java 17 or newer; set JAVA_HOME, or put java on the path"
        raise InvalidInput("this machine", [Problem("JAVA_HOME", java_home, expected)])
    environment = dict(os.environ)  # noqa: TID251  handed on to a child, with Flink's own variables
    environment["FLINK_HOME"] = _find_flink_home()
    environment["FLINK_LOG_LEVEL"] = log_level
    environment |= variables
    gateway_server.prepare_environment_variables(environment)
    with tempfile.TemporaryDirectory(dir=temporary) as folder:
        answer = Path(folder) / "port"
        environment["_PYFLINK_CONN_INFO_PATH"] = str(answer)
        command = _command(java, heap_mb, temporary, environment, jars)
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, cwd=temporary)
        try:
            port = _port(process, answer)
        except BaseException:
            process.kill()
            process.wait()
            raise
    os.environ["PYFLINK_GATEWAY_PORT"] = str(port)  # noqa: TID251  PyFlink takes it from nowhere else
    return process


def _command(java: str, heap_mb: int, temporary: Path, environment: dict[str, str], jars: Sequence[Path]) -> list[str]:
    """With `setpriv`, where there is one, the kernel ends it in the moment in which this process is gone."""
    bound = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    return [
        *bound,
        java,
        "-XX:+IgnoreUnrecognizedVMOptions",
        "--add-opens=jdk.proxy2/jdk.proxy2=ALL-UNNAMED",
        *gateway_server.get_jvm_opts(environment),
        f"-Xmx{heap_mb}m",
        f"-Xmn{heap_mb // 2}m",  # most of what is made for a row is gone after it
        f"-Djava.io.tmpdir={temporary}",
        *_TUNING,
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "-Duser.language=en",
        f"-Dlog4j2.configurationFile={_LOG_CONFIGURATION}",
        "-cp",
        os.pathsep.join((gateway_server.construct_flink_classpath(environment), *(str(jar.resolve()) for jar in jars))),
        _MAIN,
    ]


def _port(process: subprocess.Popen[bytes], answer: Path) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PermanentError(
                f"Flink's JVM ended with status {process.returncode} before it was up; see its log above"
            )
        if answer.exists() and answer.stat().st_size >= struct.calcsize("!I"):
            return int(struct.unpack("!I", answer.read_bytes()[:4])[0])
        time.sleep(0.05)
    raise PermanentError(f"Flink's JVM was not up within {_START_SECONDS:g} s")
