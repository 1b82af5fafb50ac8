"""Snowflake on one machine: an emulation, `local.servers`, with a key pair of its own."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketpipeline.local.component import Command, NotReady
from marketpipeline.local.ports import HOST
from marketpipeline.local.state import StateFolder

__all__ = ["FakeSnowflake", "in_state"]

_NAME, _ACCOUNT = "MARKETPIPELINE", "local"
_KEY, _PUBLIC = "rsa_key.p8", "rsa_key.pub"


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeSnowflake:
    """One process with one database on the loopback; `folder` holds the data and the key of its only user."""

    folder: Path
    port: int
    name: str = "fakesnow"
    after: Sequence[str] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 30.0
    ready_seconds: float = 60.0

    @property
    def address(self) -> str:
        """Where it is reached."""
        return f"http://{HOST}:{self.port}"

    @property
    def settings(self) -> Mapping[str, Any]:
        """The whole place: a run has its own account, and none of its tables are Snowflake's."""
        return {
            "account": _ACCOUNT,
            "address": self.address,
            "user": _NAME,
            "private_key": self._key(),
            "private_key_passphrase": None,
            "role": _NAME,
            "warehouse": _NAME,
            "database": _NAME,
            "schema_name": "PUBLIC",
        }

    @property
    def holds_data(self) -> bool:
        """Whether a run has begun to write."""
        return (self.folder / "data").exists()

    def prepare(self) -> Sequence[Command]:
        """Write the settings; remove the files of uploads that a killed process has left."""
        shutil.rmtree(self.folder / "uploads", ignore_errors=True)
        (self.folder / "uploads").mkdir(parents=True)
        self._key()
        known = {
            "folder": str((self.folder / "data").absolute()),
            "port": self.port,
            "account": _ACCOUNT,
            "public_key": (self.folder / _PUBLIC).read_text(encoding="utf-8"),
        }
        (self.folder / "settings.json").write_text(json.dumps(known), encoding="utf-8")
        return ()

    def command(self) -> Command:
        """The process."""
        program = (sys.executable, "-P", "-m", "marketpipeline.local.servers.snowflake", "settings.json")
        uploads = str((self.folder / "uploads").absolute())
        return Command(program, environment={"TZ": "UTC", "TMPDIR": uploads}, directory=self.folder)

    def check(self) -> Mapping[str, object]:
        """Ready when it listens, which it does once its database is there."""
        try:
            socket.create_connection((HOST, self.port), timeout=2).close()
        except OSError as error:
            raise NotReady(str(error)) from error
        return {}

    def alive(self) -> bool:
        """Its process tells."""
        return True

    def _key(self) -> str:
        """The user's private key, made once."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        place = self.folder / _KEY
        if not place.exists():
            key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            private = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / _PUBLIC).write_bytes(public)
            unfinished = place.with_suffix(".new")
            unfinished.touch(mode=0o600)
            unfinished.write_bytes(private)
            unfinished.replace(place)
        return place.read_text(encoding="utf-8")


def in_state(state: StateFolder, port: int) -> FakeSnowflake:
    """The server of a run, with its data and its key in the state folder."""
    return FakeSnowflake(folder=state.folder("snowflake"), port=port)
