"""The lake's I/O: Delta tables in a folder or on S3, by delta-rs. Its exceptions stop here.

A table is made when a sink first wants it, and held against what this release writes whenever it is opened: columns
that it lacks are added, ones of its own are left alone, another type or a later layout is refused by name.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pyarrow as pa
from deltalake import DeltaTable, Schema, WriterProperties
from deltalake.exceptions import CommitFailedError, DeltaError, DeltaProtocolError, TableNotFoundError

from marketpipeline.errors import PermanentError, Refused, RetryableError
from marketpipeline.sink_kinds.lake import LakeStoreSettings
from marketpipeline.store.lake import LakeColumn, LakeTable

__all__ = ["LAYOUT", "WRITER", "Conflict", "arrow_type", "make_table", "open_table", "schema_of", "translated"]

DEFAULT_REGION = "us-east-1"
"""What S3 is asked in without a region; what only speaks S3 takes any."""

LAYOUT = 1
"""Version of how rows are laid out: folders, partitions and what a row means. A change of it is a new lake."""

_LAYOUT = "marketpipeline.layout"
_CONFIGURATION = {
    _LAYOUT: str(LAYOUT),
    "delta.checkpointInterval": "50",
    "delta.logRetentionDuration": "interval 7 days",
    "delta.deletedFileRetentionDuration": "interval 7 days",
}

WRITER = WriterProperties(compression="ZSTD", compression_level=3, max_row_group_size=131_072)

_MICROSECONDS = pa.timestamp("us", "UTC")
_LEVELS = pa.list_(pa.struct([("price", pa.float64()), ("quantity", pa.float64())]))
_ARROW = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "flag": pa.bool_(),
    "time": _MICROSECONDS,
    "levels": _LEVELS,
    "numbers": pa.list_(pa.float64()),
}


class Conflict(RetryableError):
    """Another process has written what this one was about to; look again."""


def arrow_type(column: LakeColumn) -> pa.DataType:
    """The type of a column."""
    return _ARROW[column.type]


def schema_of(table: LakeTable) -> pa.Schema:
    """Columns and their types, the two of the partition first."""
    fields = [pa.field("exchange", pa.string(), nullable=False), pa.field("day", pa.date32(), nullable=False)]
    needed = {"symbol", table.kind.time, *table.key}
    fields += [pa.field(c.name, arrow_type(c), nullable=c.name not in needed) for c in table.columns]
    return pa.schema(fields)


def storage_options(store: LakeStoreSettings) -> dict[str, str]:
    """How delta-rs reaches the store; without keys it finds the identity of the Pod or the machine itself."""
    if not store.url.startswith("s3://"):
        return {}
    found = {
        "AWS_ENDPOINT_URL": store.endpoint,
        "AWS_REGION": store.region or DEFAULT_REGION,
        "AWS_ACCESS_KEY_ID": store.access_key_id and store.access_key_id.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": store.secret_access_key and store.secret_access_key.get_secret_value(),
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false" if store.path_style else "true",
        "AWS_ALLOW_HTTP": "true" if (store.endpoint or "").startswith("http://") else "false",
        "aws_conditional_put": "etag",
        "timeout": "30s",
        "connect_timeout": "3s",
        "max_retries": "2",
        "retry_timeout": "10s",
    }
    return {name: value for name, value in found.items() if value}


def address_of(store: LakeStoreSettings, table: LakeTable) -> str:
    """Where a table is, as delta-rs takes it: a URL, or a path."""
    base = store.url if store.url.startswith("s3://") else urlsplit(store.url).path
    return f"{base.rstrip('/')}/{table.name}"


def open_table(store: LakeStoreSettings, table: LakeTable) -> DeltaTable | None:
    """The table as it is now, or None where nothing has made it. Raises RetryableError, PermanentError."""
    with translated(store):
        try:
            found = DeltaTable(address_of(store, table), storage_options=storage_options(store))
        except TableNotFoundError:
            return None
        _check(store, table, found)
    return found


def make_table(store: LakeStoreSettings, table: LakeTable) -> DeltaTable:
    """The table, made where it is absent and with every column of this release. Raises as `open_table`."""
    found = open_table(store, table)
    with translated(store):
        if found is None:
            DeltaTable.create(
                address_of(store, table),
                schema=schema_of(table),
                mode="ignore",
                partition_by=["exchange", "day"],
                name=table.name,
                configuration=dict(_CONFIGURATION),
                storage_options=storage_options(store),
                raise_if_key_not_exists=False,
            )
            found = DeltaTable(address_of(store, table), storage_options=storage_options(store))
        present = {field.name for field in found.schema().fields}
        lacking = [field for field in schema_of(table) if field.name not in present]
        if lacking:
            added = Schema.from_arrow(pa.schema([field.with_nullable(True) for field in lacking]))
            found.alter.add_columns(added.fields)
    return found


def _check(store: LakeStoreSettings, table: LakeTable, found: DeltaTable) -> None:
    metadata, where = found.metadata(), f"spec.sinks.lake.url: {store.url!r}: table {table.name}"
    layout = metadata.configuration.get(_LAYOUT)
    if layout != str(LAYOUT):
        if layout is None:
            raise PermanentError(f"{where} was not made by marketpipeline: give the lake a folder of its own")
        raise PermanentError(
            f"{where} has layout {layout}, this release writes {LAYOUT}: run the release that made it, or name a new "
            f"folder in sinks.lake.url"
        )
    if metadata.partition_columns != ["exchange", "day"]:
        raise PermanentError(f"{where} is partitioned by {metadata.partition_columns}, not by exchange and day")
    present = {field.name: field.type for field in pa.schema(found.schema().to_arrow())}
    for field in schema_of(table):
        held = present.get(field.name)
        if held is not None and not _same(held, field.type):
            raise PermanentError(
                f"{where}: column {field.name} is {held}, this release writes {field.type}: restore the table's "
                f"schema, or name a new folder in sinks.lake.url"
            )


def _same(held: pa.DataType, wanted: pa.DataType) -> bool:
    """Equal but for names that Delta gives to the parts of a list."""
    if pa.types.is_list(held) and pa.types.is_list(wanted):
        return bool(held.value_type.equals(wanted.value_type))
    return bool(held.equals(wanted))


_WRONG = {
    r"169\.254\.|[Cc]redentials? provider|[Nn]o credentials|NoCredentials": (
        "credentialsSecret",
        "no credentials are there: name the Secret that has them, or give the Pod an identity",
    ),
    r"NoSuchBucket|bucket does not exist": ("url", "names a bucket that is not there: create it, or correct the name"),
    r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken": (
        "credentialsSecret",
        "the store refuses the key: give one of a user of this store",
    ),
    r"AuthorizationHeaderMalformed|PermanentRedirect|301 Moved|IllegalLocationConstraint|configured region": (
        "region",
        "the bucket is in another region: name the bucket's own",
    ),
    r"AccessDenied|403 Forbidden|Permission denied|os error 13|code: 13": (
        "url",
        "this user may not read and write there: grant GetObject, PutObject, DeleteObject and ListBucket below it",
    ),
    r"Read-only file system|code: 30": ("url", "the folder is read-only: name one that can be written"),
}
"""What S3 and the file system say; the field of the spec, and what to do about it: none of these passes by waiting."""

_FULL = re.compile(
    r"No space left|File too large|code: 2[78]|QuotaExceeded|Disk quota|StorageFull|InsufficientStorage|507 "
)


@contextmanager
def translated(store: LakeStoreSettings) -> Iterator[None]:
    """Turn what delta-rs, Arrow and the file system raise into this project's errors."""
    try:
        yield
    except (PermanentError, RetryableError):
        raise
    except CommitFailedError as error:
        raise Conflict(f"another process has changed the table: {_said(error)}", retry_after=0.1) from error
    except DeltaProtocolError as error:
        raise PermanentError(
            f"spec.sinks.lake.url: {store.url!r}: a table wants a later version of the Delta protocol than this "
            f"release reads: {_said(error)}"
        ) from error
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise _judged(store, error) from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise _judged(store, error) from error  # the query engine's errors have no type of their own


def _judged(store: LakeStoreSettings, error: Exception) -> PermanentError | RetryableError:
    said = _said(error)
    if getattr(error, "errno", None) == errno.ENOSPC or _FULL.search(said):
        return RetryableError(f"the lake's disk is full: make room at {store.url}: {said}", retry_after=30.0)
    for pattern, (field, remedy) in _WRONG.items():
        if re.search(pattern, said):
            value = repr(store.region or DEFAULT_REGION) if field == "region" else repr(store.url)
            return Refused(f"spec.sinks.lake.{field}", value, remedy, said)
    return RetryableError(f"the lake is away: {said}")


def _said(error: Exception) -> str:
    """One line, without colours, of what may be many."""
    text = re.sub(r"\x1b\[[0-9;]*m|[↳]", "", str(error))
    return " ".join(text.split())[:400]
