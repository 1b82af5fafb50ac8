"""A pipeline on the cluster, as a user reads it: from PostgreSQL and the query API, through `kubectl port-forward`."""

from __future__ import annotations

import base64
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.cluster.kubectl import Kubectl

__all__ = ["Deployed", "Served", "Tables", "deployed"]

_TABLES = {"trades": "trades", "book": "book_metrics", "candles": "candles", "alerts": "alerts", "gaps": "feed_events"}


@dataclass(frozen=True)
class Tables:
    """What PostgreSQL holds, in the words of `marketpipeline query`."""

    connection: psycopg.Connection[dict[str, Any]]

    def query(self, what: str, symbol: str, *options: str) -> list[dict[str, Any]]:
        """Every row of a symbol, times as ISO 8601; of the options only `--interval` is heeded."""
        text = f"SELECT * FROM {_TABLES[what]} WHERE symbol = %(symbol)s"
        values = {"symbol": symbol}
        if "--interval" in options:
            text += " AND interval = %(interval)s"
            values["interval"] = options[options.index("--interval") + 1]
        rows = self.connection.execute(text, values).fetchall()
        return [{name: _json(value) for name, value in row.items()} for row in rows]

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
        with urllib.request.urlopen(f"{self.address}{path}", timeout=30) as answer:
            return json.load(answer)


@dataclass(frozen=True)
class Deployed:
    """The parts of a pipeline as the test reaches them."""

    tables: Tables
    served: Served
    exchange: str

    def replayed(self) -> bool:
        """Whether the exchange has sent its captures to the end."""
        with urllib.request.urlopen(f"{self.exchange}/control/status", timeout=10) as answer:
            return bool(json.load(answer)["finished"])


@contextmanager
def deployed(kubectl: Kubectl, name: str) -> Iterator[Deployed]:
    """Ports forwarded to the database, the API of pipeline `name`, and the exchange, while the context lasts."""
    secret = kubectl.get("secret", "stores")["data"]["postgresql"]
    with ExitStack() as stack:
        database, api, exchange = (
            stack.enter_context(kubectl.forward(service, port))
            for service, port in (
                ("service/postgresql", 5432),
                (f"service/{name}-api", 8000),
                ("service/simulator", 9443),
            )
        )
        connection: psycopg.Connection[dict[str, Any]] = stack.enter_context(
            psycopg.connect(
                host="127.0.0.1",
                port=database,
                user="marketpipeline",
                password=base64.b64decode(secret).decode(),
                dbname="marketpipeline",
                autocommit=True,
                row_factory=dict_row,
            )
        )
        yield Deployed(Tables(connection), Served(f"http://127.0.0.1:{api}"), f"http://127.0.0.1:{exchange}")


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
