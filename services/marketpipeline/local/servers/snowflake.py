"""Snowflake on one machine: fakesnow, an emulation over DuckDB, which the real connector logs in to.

    python -m marketpipeline.local.servers.snowflake SETTINGS

Statements, stages, COPY and MERGE are fakesnow's. What it takes from anyone is checked here as Snowflake does it at the
door: the account, the signature of the user's key, and that role, warehouse, database and schema are there. It knows no
streams and tasks, keeps no clusters and charges nothing.
"""

from __future__ import annotations

import gzip
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fakesnow.server
import jwt
import uvicorn
from cryptography.hazmat.primitives import serialization
from fakesnow.instance import FakeSnow
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from marketpipeline.local.ports import HOST

__all__ = ["NAME", "main"]

NAME = "MARKETPIPELINE"
"""Of the user, the role, the warehouse and the database; the schema is PUBLIC."""
_LOGIN = "/session/v1/login-request"


class _Refused(Exception):
    """What Snowflake answers at the door: its code and text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class _Door:
    """Who may come in, and where to."""

    def __init__(self, account: str, public_key: str) -> None:
        self._account = account
        self._key: Any = serialization.load_pem_public_key(public_key.encode())

    async def login(self, request: Request) -> Response:
        """Fakesnow's answer, or a refusal."""
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        data = json.loads(body)["data"]
        if data["ACCOUNT_NAME"].lower() != self._account:
            return Response(status_code=403)
        try:
            self._check_user(data)
            self._check_objects(request.query_params)
        except _Refused as refused:
            return JSONResponse({"data": None, "code": refused.code, "message": str(refused), "success": False})
        answer: Response = await fakesnow.server.login_request(request)
        return answer

    def _check_user(self, data: Mapping[str, Any]) -> None:
        if data["LOGIN_NAME"].upper() != NAME:
            raise _Refused("390100", "Incorrect username or password was specified.")
        try:
            jwt.decode(data.get("TOKEN", ""), self._key, algorithms=["RS256"])
        except jwt.InvalidTokenError as error:
            raise _Refused("390144", "JWT token is invalid.") from error

    def _check_objects(self, asked: Mapping[str, str]) -> None:
        role, warehouse = asked.get("roleName", NAME), asked.get("warehouse", NAME)
        if role.upper() != NAME:
            text = f"Role '{role}' specified in the connect string does not exist or not authorized."
            raise _Refused("390189", f"{text} Contact your local system administrator.")
        if warehouse.upper() != NAME:
            raise _Refused("390201", "The requested warehouse does not exist or not authorized.")
        database, schema = asked.get("databaseName", "").upper(), asked.get("schemaName", "").upper()
        with fakesnow.server.shared_fs.duck_conn.cursor() as cursor:
            found = cursor.execute(
                "SELECT upper(schema_name) FROM information_schema.schemata WHERE upper(catalog_name) = ?", [database]
            ).fetchall()
        if not found:
            raise _Refused("390201", "The requested database does not exist or not authorized.")
        if (schema,) not in found:
            raise _Refused("390201", "The requested schema does not exist or not authorized.")


def main() -> int:
    """Serve until SIGTERM."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(settings["folder"])
    folder.mkdir(exist_ok=True)
    engine = fakesnow.server.shared_fs = FakeSnow(db_path=folder)
    engine.connect(NAME, "PUBLIC").close()
    engine.create_database_on_connect = engine.create_schema_on_connect = False
    fakesnow.server.logger.setLevel("ERROR")
    door = _Door(settings["account"], settings["public_key"])
    routes = [Route(_LOGIN, door.login, methods=["POST"])]
    app = Starlette(routes=[*routes, *(route for route in fakesnow.server.routes if route.path != _LOGIN)])
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=settings["port"], log_level="error", lifespan="off"))
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn hands the signal on when it has finished
    server.run()
    engine.duck_conn.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
