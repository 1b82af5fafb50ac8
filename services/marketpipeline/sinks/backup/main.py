"""The job that takes a backup, and the way back, which a sink waits for before it begins.

    <place>/<pipeline>/<time>/
        manifest.json           what is in it; written last, so a folder without it is no backup
        tables/<table>.copy.gz  the database
        state/identity.json     what the savepoint fits (see the stream job)
        state/savepoint/        the job's newest savepoint that is kept, where the checkpoints are on S3

How far the sink had read is looked at before the database is copied: what came in between is read again, and changes
nothing. The topics themselves are the broker's to keep.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from marketpipeline.backoff import Backoff
from marketpipeline.errors import MarketPipelineError, PermanentError, RetryableError
from marketpipeline.settings import BackupSettings
from marketpipeline.sink_kinds.timescale import SINK
from marketpipeline.sinks.backup.offsets import Offsets, read_offsets, set_offsets
from marketpipeline.sinks.backup.place import Place
from marketpipeline.sinks.backup.tables import Copied, dump, fill, is_recovered
from marketpipeline.telemetry import Telemetry
from marketpipeline.topics import topic_name

__all__ = ["back_up", "recover", "run"]

_log = logging.getLogger(__name__)
_MANIFEST, _FORMAT = "manifest.json", 1
_FOLDER = "%Y%m%dT%H%M%SZ"
_TORN_AFTER = timedelta(days=1)
"""A folder without a manifest may be a backup that another cluster takes at this moment; an older one has failed."""
_GIVE_UP_AFTER = 600.0
"""Seconds that a store may be away before the job fails, to be run again."""


def run(settings: BackupSettings) -> int:
    """Once; status 0 when done, 1 when that failed or a store stayed away. All attempts have one folder."""
    telemetry = Telemetry.start(settings, "recovery" if settings.recover else "backup", health=None)
    backoff, give_up = Backoff(initial=1.0, longest=30.0), time.monotonic() + _GIVE_UP_AFTER
    work: Callable[[BackupSettings], object] = recover if settings.recover else partial(back_up, now=datetime.now(UTC))
    try:
        while True:
            try:
                work(settings)
            except RetryableError as error:
                if time.monotonic() > give_up:
                    _log.error("gave up", extra={"error": str(error)})
                    return 1
                wait = backoff.next()
                _log.warning("will try again", extra={"error": str(error), "wait_s": round(wait, 1)})
                time.sleep(wait)
            except MarketPipelineError as error:
                _log.error("%s", error)
                return 1
            else:
                return 0
    finally:
        telemetry.close()


def back_up(settings: BackupSettings, now: datetime | None = None) -> str:
    """Take one, remove what is too many; the URL of the new one. Raises RetryableError, PermanentError."""
    place, began, now = Place(settings.place), time.monotonic(), now or datetime.now(UTC)
    folder = f"{settings.pipeline}/{now.strftime(_FOLDER)}"
    topics = sorted(topic_name(settings.topic_prefix, kind) for kind in SINK.topics)
    offsets = read_offsets(settings.kafka, settings.consumer_group, topics)
    version, copied = dump(_store(settings), place, f"{folder}/tables", f"{settings.pipeline}-backup")
    savepoint = _copy_savepoint(settings, place, f"{folder}/state")
    manifest = {
        "format": _FORMAT,
        "pipeline": settings.pipeline,
        "schema": version,
        "offsets": asdict(offsets),
        "savepoint": savepoint,
        "tables": {name: asdict(what) for name, what in copied.items()},
    }
    with place.writing(f"{folder}/{_MANIFEST}") as file:
        file.write(json.dumps(manifest, indent=1).encode())
    rows, seconds = sum(what.rows for what in copied.values()), round(time.monotonic() - began, 1)
    url = f"{settings.place.url.rstrip('/')}/{folder}"
    _log.info("backup taken", extra={"place": url, "rows": rows, "savepoint": savepoint, "seconds": seconds})
    for old in _too_many(place, settings, offsets.cluster, now):
        place.remove(f"{settings.pipeline}/{old}")
        _log.info("old backup removed", extra={"folder": old})
    return url


def _too_many(place: Place, settings: BackupSettings, cluster: str, now: datetime) -> list[str]:
    """Of this Kafka cluster's backups all but the newest, and what failed ones have left; by another cluster a pipeline
    of the same name may have its own here."""
    ours, torn, before = list[str](), list[str](), (now - _TORN_AFTER).strftime(_FOLDER)
    for name in place.folders(settings.pipeline):
        text = place.read(f"{settings.pipeline}/{name}/{_MANIFEST}")
        if text is None and _is_ours(name) and name < before:
            torn.append(name)
        elif text is not None and (_parsed(text) or {}).get("offsets", {}).get("cluster") == cluster:
            ours.append(name)
    return torn + ours[: -settings.keep]


def _is_ours(name: str) -> bool:
    """Whether a folder is named as a backup is."""
    try:
        return bool(datetime.strptime(name, _FOLDER))
    except ValueError:
        return False


def recover(settings: BackupSettings) -> dict[str, int]:
    """Fill the database from a backup and let its sink go on from there, unless that was done; the rows by table."""
    store, name = _store(settings), f"{settings.pipeline}-recovery"
    url = settings.place.url.rstrip("/")
    if is_recovered(store, url, name):
        _log.info("recovered before", extra={"place": url})
        return {}
    place = Place(settings.place)
    text = place.read(_MANIFEST)
    if text is None:
        raise PermanentError(f"{url} holds no complete backup: {_MANIFEST} is missing")
    manifest = _parsed(text)
    if manifest is None:
        raise PermanentError(f"{url}/{_MANIFEST} is damaged: it is no JSON object; recover from another backup")
    if manifest["format"] > _FORMAT:
        raise PermanentError(f"{url} was made by a newer release: use that one, or a newer")
    copied = {n: Copied(tuple(w["columns"]), w["rows"], w["sha256"]) for n, w in manifest["tables"].items()}
    held = Offsets(**manifest["offsets"])
    offsets = set_offsets(settings.kafka, settings.consumer_group, held)
    rows = fill(store, place, "tables", copied, url, name)
    _log.info("recovered", extra={"place": url, "rows": sum(rows.values()), "offsets": offsets})
    return rows


def _parsed(text: bytes) -> dict[str, Any] | None:
    """A manifest; None where it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _store(settings: BackupSettings) -> Any:
    store = settings.stores.by_kind().get(SINK.name)
    if store is None:
        raise PermanentError(f"a backup is of the database: enable sinks.{SINK.name}")
    return store


def _copy_savepoint(settings: BackupSettings, place: Place, folder: str) -> str | None:
    """Copy the newest savepoint that is kept; where it was, None where there is none."""
    if settings.state is None:
        return None
    state, found = Place(settings.state), list[tuple[float, str, str]]()
    for fitting in (name for name in state.folders() if name.startswith("state-")):
        identity = json.loads(state.read(f"{fitting}/identity.json") or b"{}")
        if identity.get("pipeline") == settings.pipeline:
            for name in state.folders(f"{fitting}/savepoints"):
                written = state.files(f"{fitting}/savepoints/{name}").get("_metadata")
                found += [] if written is None else [(written, fitting, name)]
    if not found:
        return None
    _, fitting, name = max(found)
    state.copy(f"{fitting}/identity.json", place, f"{folder}/identity.json")
    for file in state.files(f"{fitting}/savepoints/{name}"):
        state.copy(f"{fitting}/savepoints/{name}/{file}", place, f"{folder}/savepoint/{file}")
    return f"{settings.state.url.rstrip('/')}/{fitting}/savepoints/{name}"
