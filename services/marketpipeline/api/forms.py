"""Rows in the form that a client accepts: JSON, CSV, or a stream of Apache Arrow."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import msgspec
import nanoarrow
from fastapi import Request, Response
from nanoarrow.ipc import StreamWriter
from starlette.exceptions import HTTPException

from marketpipeline.store import Table
from marketpipeline.store.rows import JsonRow

__all__ = ["ARROW", "CSV", "FORMS", "rows_answer"]

JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"

FORMS: dict[str, Any] = {CSV: {"schema": {"type": "string"}}, ARROW: {"schema": {"type": "string", "format": "binary"}}}
"""The forms beside JSON, for the OpenAPI document."""


def rows_answer(request: Request, body: Mapping[str, Any], rows: Sequence[JsonRow], table: Table) -> Response:
    """`body` as JSON, or the rows alone as a table. `next` in the body is also a link.

    Raises HTTPException for a client that accepts none of these.
    """
    form = _accepted(request.headers.get("accept", "*/*"))
    headers = {"Vary": "Accept"}
    if following := body.get("next"):
        headers["Link"] = f'<{request.url.include_query_params(cursor=following)}>; rel="next"'
    return Response(_WRITERS[form](body, rows, table), headers=headers, media_type=form)


def _accepted(header: str) -> str:
    """The form that a client likes best; JSON where it has no preference."""
    best, found = 0.0, None
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((_quality(text[2:]) for text in parameters if text.startswith("q=")), 1.0)
        fits = [form for form in _WRITERS if name in (form, "*/*", f"{form.partition('/')[0]}/*")]
        if fits and quality > best:
            best, found = quality, fits[0]
    if found is None:
        raise HTTPException(HTTPStatus.NOT_ACCEPTABLE, f"the forms that there are: {', '.join(_WRITERS)}")
    return found


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _json(body: Mapping[str, Any], rows: Sequence[JsonRow], table: Table) -> bytes:
    return msgspec.json.encode(body)


def _csv(body: Mapping[str, Any], rows: Sequence[JsonRow], table: Table) -> bytes:
    """With a header; nothing stands for null, booleans are `true` and `false` as in JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(table.column_names)
    writer.writerows([_cell(row[name]) for name in table.column_names] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return ("false", "true")[value] if isinstance(value, bool) else value


def _arrow(body: Mapping[str, Any], rows: Sequence[JsonRow], table: Table) -> bytes:
    """One batch; times are timestamps of microseconds in UTC."""
    columns = {c.name: _column([row[c.name] for row in rows], c.type, c.nullable) for c in table.columns}
    schema = nanoarrow.struct({name: column.schema for name, column in columns.items()}, nullable=False)
    batch = nanoarrow.c_array_from_buffers(schema, len(rows), [], children=list(columns.values()))
    out = io.BytesIO()
    with StreamWriter.from_writable(out) as writer:
        writer.write_stream(batch)
    return out.getvalue()


_ARROW_TYPES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "text": nanoarrow.string,
        "bigint": nanoarrow.int64,
        "double precision": nanoarrow.float64,
        "boolean": nanoarrow.bool_,
        "timestamptz": nanoarrow.int64,
    }
)


def _column(values: list[Any], kind: str, nullable: bool) -> Any:
    if kind == "timestamptz":
        values = [None if value is None else _microseconds(value) for value in values]
    plain = nanoarrow.c_array(values, _ARROW_TYPES[kind](nullable=nullable))
    if kind != "timestamptz":
        return plain
    time = nanoarrow.timestamp("us", timezone="UTC", nullable=nullable)
    return nanoarrow.c_array_from_buffers(time, len(values), list(plain.view().buffers), null_count=plain.null_count)


def _microseconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


_WRITERS = MappingProxyType({JSON: _json, CSV: _csv, ARROW: _arrow})
