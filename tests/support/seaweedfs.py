"""The real S3 for tests: SeaweedFS, one a session, a new bucket for each test that asks.

A suite takes the fixture into its `conftest.py`: `from tests.support.seaweedfs import s3  # noqa: F401`. It imports no
client of S3, so it serves both environments.
"""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT, free_port, require, wait_for
from tests.support.tied import tied

__all__ = ["RunningS3", "s3"]

_PROGRAM = PROJECT / ".venv" / "bin" / "weed"


class RunningS3:
    """A server that refuses whoever does not sign with its keys."""

    access_key, secret_key, region = "AKIAFORTESTS", "only/for+tests", "us-east-1"

    def __init__(self, folder: Path) -> None:
        self._folder, self._log = folder, folder.with_suffix(".log")
        self._filer, self._port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it serves."""
        self._folder.mkdir()
        keys = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        config = self._folder.with_suffix(".json")
        config.write_text(json.dumps({"identities": [{"name": "t", "credentials": keys, "actions": ["Admin"]}]}))
        ports = {"master.port": free_port(), "volume.port": free_port(), "filer.port": self._filer}
        ports |= {f"{name.partition('.')[0]}.port.grpc": free_port() for name in list(ports)}
        ports |= {"s3.port": self._port, "s3.port.grpc": free_port()}
        arguments = [str(_PROGRAM), "server", "-s3", f"-s3.config={config}", f"-dir={self._folder}", "-ip=127.0.0.1"]
        arguments += ["-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=64", "-volume.max=50"]
        arguments += [f"-{name}={number}" for name, number in ports.items()]
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(tied(arguments), stdout=out, stderr=out)
        wait_for(self._serves, f"SeaweedFS to start, see {self._log}", seconds=60)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)

    def bucket(self) -> str:
        """A new, empty bucket; its name."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self._ask(f"/buckets/{name}/", method="POST")
        return name

    def files(self, place: str) -> list[str]:
        """Names of what is in a folder of a bucket (`bucket/folder`), without its folders; nothing for one absent."""
        try:
            entries = json.loads(self._ask(f"/buckets/{place}/?limit=10000"))["Entries"] or []
        except urllib.error.HTTPError:
            return []
        return [entry["FullPath"].rpartition("/")[2] for entry in entries]

    def _ask(self, path: str, method: str = "GET") -> bytes:
        url = f"http://127.0.0.1:{self._filer}{path}"
        asked = urllib.request.Request(url, method=method, headers={"Accept": "application/json"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return bytes(answer.read())

    def _serves(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"SeaweedFS ended with {self._process.returncode}: {self._log.read_text()[-2000:]}")
        try:
            urllib.request.urlopen(self.endpoint, timeout=5).close()
        except urllib.error.HTTPError as error:
            return error.code == 403  # nobody is let in without keys
        except OSError:
            return False
        return True


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningS3]:
    """A running server."""
    require(_PROGRAM.exists(), "no SeaweedFS in .venv: run `make setup-test`")
    running = RunningS3(tmp_path_factory.mktemp("s3") / "data")
    try:
        running.start()
        yield running
    finally:
        running.stop()
