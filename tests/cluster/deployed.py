"""A pipeline on the cluster, as a user reads it: from PostgreSQL and the query API, through `kubectl port-forward`."""

from __future__ import annotations

import base64
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.cluster.kubectl import Kubectl
from tests.cluster.stack import servers_of

__all__ = ["Deployed", "Served", "Tables", "deployed", "history"]

_DATABASE = "market-stack-timescaledb"

_TABLES = {"trades": "trades", "book": "book_metrics", "candles": "candles", "alerts": "alerts", "gaps": "feed_events"}


@dataclass(frozen=True)
class Tables:
    """What PostgreSQL holds, in the words of `marketpipeline query`."""

    connection: psycopg.Connection[dict[str, Any]]

    def query(self, what: str, symbol: str, *options: str) -> list[dict[str, Any]]:
        """Every row of a symbol, times as ISO 8601; of the options only `--interval` is heeded."""
        text = f"SELECT * FROM {_TABLES[what]} WHERE symbol = %(symbol)s"
        values = {"symbol": symbol}
        if what == "gaps":
            text += " AND kind = 'gap'"
        if "--interval" in options:
            text += " AND interval = %(interval)s"
            values["interval"] = options[options.index("--interval") + 1]
        rows = self.connection.execute(text, values).fetchall()
        return [{name: _json(value) for name, value in row.items()} for row in rows]

    def snapshots(self, symbol: str) -> list[int]:
        """The update ids of the snapshots from which its book began anew."""
        text = "SELECT first_id FROM feed_events WHERE symbol = %s AND kind = 'resync' AND feed = 'book'"
        return [int(row["first_id"]) for row in self.connection.execute(text, [symbol]).fetchall()]

    def newest(self, table: str, column: str) -> dict[str, int]:
        """The greatest value of a column by symbol; none where the table does not exist yet."""
        known = self.connection.execute("SELECT to_regclass(%s) AS name", [table]).fetchone()
        if known is None or known["name"] is None:
            return {}
        rows = self.connection.execute(f"SELECT symbol, max({column}) AS newest FROM {table} GROUP BY symbol")
        return {row["symbol"]: row["newest"] for row in rows}


@dataclass(frozen=True)
class Served:
    """What the query API answers, in the words of `marketpipeline query`."""

    address: str

    def query(self, what: str, symbol: str, *options: str) -> list[dict[str, Any]]:
        """As many rows of a symbol as the API gives at once; of the options only `--interval` is heeded."""
        asked = {"limit": "5000"}
        if what == "candles":
            asked["interval"] = options[options.index("--interval") + 1]
        path = {"candles": f"klines/{symbol}", "book": f"book/{symbol}", "alerts": "alerts"}[what]
        if what == "alerts":
            asked["symbol"] = symbol
        answer = self.get(f"/api/v1/analytics/{path}?{urllib.parse.urlencode(asked)}")
        rows: list[dict[str, Any]] = answer[what]
        return rows

    def get(self, path: str) -> Any:
        """A document of the API."""
        return json.loads(self.text(path))

    def text(self, path: str) -> str:
        """What is there, as it is. Raises OSError."""
        with urllib.request.urlopen(f"{self.address}{path}", timeout=30) as answer:
            text: str = answer.read().decode()
            return text


@dataclass(frozen=True)
class Deployed:
    """The parts of a pipeline as the test reaches them."""

    tables: Tables
    served: Served
    exchanges: tuple[str, ...]

    def hurry(self) -> None:
        """From now on the exchanges send as fast as they are read."""
        for exchange in self.exchanges:
            request = urllib.request.Request(f"{exchange}/control/speed/max", method="POST")
            urllib.request.urlopen(request, timeout=30).close()

    def replayed(self) -> bool:
        """Whether all exchanges have sent their captures to the end."""
        return all(Served(exchange).get("/control/status")["finished"] for exchange in self.exchanges)


@contextmanager
def history(
    kubectl: Kubectl, user: str = "marketpipeline", key: str = "password"
) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection to the database of the stack, with the password that the chart has made for this user."""
    secret = kubectl.get("secret", _DATABASE)["data"][key]
    with (
        kubectl.forward(f"service/{_DATABASE}", 5432) as port,
        psycopg.connect(
            host="127.0.0.1",
            port=port,
            user=user,
            password=base64.b64decode(secret).decode(),
            dbname="marketpipeline",
            autocommit=True,
            row_factory=dict_row,
        ) as connection,
    ):
        yield connection


@contextmanager
def deployed(kubectl: Kubectl, name: str, exchanges: Sequence[str]) -> Iterator[Deployed]:
    """Ports forwarded to the database, the API of pipeline `name`, and the exchanges, while the context lasts."""
    servers = servers_of(kubectl)
    forwards = [(kubectl, f"service/{name}-api", 8000)]
    forwards += [(servers, f"service/simulator-{exchange}", 9443) for exchange in exchanges]
    with ExitStack() as stack:
        connection = stack.enter_context(history(kubectl))
        api, *simulators = (
            f"http://127.0.0.1:{stack.enter_context(one.forward(service, port))}" for one, service, port in forwards
        )
        yield Deployed(Tables(connection), Served(api), tuple(simulators))


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
