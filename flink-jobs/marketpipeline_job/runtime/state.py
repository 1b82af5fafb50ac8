"""Which state a job goes on from: one rule for every platform, decided by the job itself when it starts.

    <checkpoint directory>/state-<fingerprint>/
        identity.json               what the state in this folder belongs to
        read.json                   how far it has read, when another folder is in use since
        <job id>/chk-<n>/           a checkpoint of Flink, complete when it holds _metadata
        savepoint-<id>/             what a stop left, likewise; Flink removes it when it is used up
        savepoints/savepoint-<id>/  one that somebody asked for, or a schedule: it is kept

State fits when it belongs to the same queries, the same records of the same topics of the same broker, and to a Flink
that reads it: then the fingerprint, and so the folder, is the same. The newest in it is taken. Where there is none the
job starts at the beginning of its topics and says why; nothing is refused, and nobody has to remove a folder. State of
former queries stays for a while, so that a change that is taken back finds it again. What the spec asks of a start
once (a state that is named, or none) comes before (runtime/orders.py).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from importlib.metadata import version
from typing import Self

from marketpipeline.settings import JobSettings

from marketpipeline_job.job import script
from marketpipeline_job.runtime.broker import BrokerView
from marketpipeline_job.runtime.files import Entry, Files, flink_path
from marketpipeline_job.runtime.orders import Orders, take_orders

__all__ = ["SAVEPOINTS", "Identity", "Origin", "Start", "find_start", "identity_of"]

_log = logging.getLogger(__name__)

SAVEPOINTS = "savepoints"
"""Folder of those that are kept."""
_IDENTITY, _READ, _METADATA, _FOLDER = "identity.json", "read.json", "_metadata", "state-"
_PLAN_FORMAT = 5
"""Part of what state belongs to: to be raised when the same SQL keeps other state, by a change of the Java functions or
of runtime/submit.py."""
_KEPT_FORMER = 2
"""So many folders of former queries are kept, beside those with savepoints that are."""
_BEGINS = "starts from the beginning of its topics"


@dataclass(frozen=True, slots=True)
class Identity:
    """What state depends on. `topics` are the broker's own ids of the topics that offsets in the state refer to."""

    pipeline: str
    queries: str
    flink: str
    backend: str
    cluster: str
    topics: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """The same text for the same identity, short enough to be part of a path."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def differences(self, other: Identity) -> list[str]:
        """What of the other's state does not fit here, in words."""
        found = []
        if other.queries != self.queries:
            found.append("its queries are others (feeds, depth, windows or lateness have changed, or the release)")
        if other.flink != self.flink:
            found.append(f"it is of Flink {other.flink}, this is {self.flink}")
        if other.backend != self.backend:
            found.append(f"it is of the state backend {other.backend}, this is {self.backend}")
        if other.cluster != self.cluster:
            found.append(f"its offsets are of another Kafka cluster ({other.cluster}, this is {self.cluster})")
        elif made_again := sorted(n for n, known in self.topics.items() if other.topics.get(n, known) != known):
            found.append(f"topics have been deleted and made again since: {', '.join(made_again)}")
        return found or ["it is of other topics"]

    def is_same_pipeline(self, other: Identity) -> bool:
        """Whether the other is surely of this pipeline at another time: no two pipelines share a topic."""
        return (self.pipeline, self.cluster) == (other.pipeline, other.cluster) and bool(
            {*self.topics} & {*other.topics}
        )

    @classmethod
    def read(cls, text: bytes) -> Self | None:
        """What a folder says of its state; None for what is no such text."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None


class Origin(StrEnum):
    """Where a job's state comes from."""

    RESTORED = "restored"
    NEW = "new"
    RESET = "reset"
    UNFIT = "unfit"
    NOT_KEPT = "not-kept"


@dataclass(frozen=True, slots=True)
class Start:
    """How a job starts: where its state goes, what it goes on from, and why in words for a person.

    `savepoints` are those that are kept, the newest first, each with its time in milliseconds since the epoch. With
    `claims` what is restored is used up: once a checkpoint of its own is complete, Flink removes it.
    """

    directory: str
    origin: Origin
    reason: str
    restore_from: str | None = None
    claims: bool = True
    savepoints: tuple[tuple[str, int], ...] = ()

    @property
    def configuration(self) -> dict[str, str]:
        """It, in Flink's terms. A savepoint for which nobody names a place is one that is kept."""
        found = {
            "execution.checkpointing.dir": self.directory,
            "execution.checkpointing.savepoint-dir": f"{self.directory}/{SAVEPOINTS}",
        }
        if self.restore_from is not None:
            found |= {
                "execution.state-recovery.path": self.restore_from,
                "execution.state-recovery.claim-mode": "CLAIM" if self.claims else "NO_CLAIM",
            }
        return found

    @property
    def told(self) -> dict[str, str]:
        """It, as parameters of the job, where Flink's REST interface shows it to the platform."""
        return {
            "marketpipeline.state.directory": self.directory,
            "marketpipeline.state.origin": self.origin.value,
            "marketpipeline.state.reason": self.reason,
            "marketpipeline.state.restored-from": self.restore_from or "",
            "marketpipeline.state.savepoints": json.dumps(self.savepoints),
        }


def identity_of(settings: JobSettings, broker: BrokerView) -> Identity:
    """What the state of a job with these settings belongs to: from what runs here, not from what was asked for.

    The thresholds, which a running job takes from their topic, have no part in it, and neither have addresses: the
    text hashed is of columns, views and inserts only.
    """
    plain = settings.model_copy(update={"thresholds": dict.fromkeys(settings.thresholds, 1.0)})
    queries = f"{_PLAN_FORMAT}\n{script(plain).queries()}"
    return Identity(
        pipeline=settings.pipeline,
        queries=hashlib.sha256(queries.encode()).hexdigest()[:16],
        flink=".".join(version("apache-flink").split(".")[:2]),
        backend=settings.state_backend,
        cluster=broker.cluster,
        topics=broker.topics,
    )


def find_start(settings: JobSettings, broker: BrokerView, files: Files) -> Start:
    """Decide, and leave the folder of the state ready. Raises RetryableError when the directory cannot be reached."""
    root, identity = flink_path(settings.checkpoint_directory), identity_of(settings, broker)
    directory = f"{root}/{_FOLDER}{identity.fingerprint}"
    if not settings.keeps_state:
        if settings.initial_savepoint:
            return _from_initial(settings.initial_savepoint, Start(directory, Origin.NEW, ""), identity, broker, files)
        reason = f"{_BEGINS}: {root} is lost with its processes; see processing.checkpointClaim"
        return Start(directory, Origin.NOT_KEPT, reason)
    orders = take_orders(settings, broker.cluster, root, files)
    held = _all_state(root, identity, files)
    last = next((state for state in held if identity.is_same_pipeline(state.identity)), None)
    if all(state.folder != directory for state in held):
        files.write(f"{directory}/{_IDENTITY}", _json(asdict(identity)))
    read = _read_offsets(last, directory, broker, files)
    kept = sorted((each for state in held for each in state.savepoints), key=lambda each: each[1], reverse=True)
    found = _choose(orders, held, Start(directory, Origin.NEW, ""), identity, broker, files, read)
    return replace(found, savepoints=tuple(kept))


def _choose(
    orders: Orders,
    held: Sequence[_State],
    start: Start,
    identity: Identity,
    broker: BrokerView,
    files: Files,
    read: Mapping[str, int],
) -> Start:
    """What to start from: what the spec asks for, then the newest that fits."""
    young = [state for state in held if state.modified > orders.since]
    own = next((state for state in young if state.folder == start.directory), None)
    if own is None and orders.initial is not None:
        return _from_initial(orders.initial, start, identity, broker, files)
    if own is None and held and not young:
        reason = f"{_BEGINS}, without the state in {held[0].newest}: {orders.words}; {broker.missing()}"
        return replace(start, origin=Origin.RESET, reason=reason)
    if own is None and young:
        why = "; ".join(identity.differences(young[0].identity))
        reason = f"{_BEGINS}, without the state in {young[0].folder}: {why}"
        return replace(start, origin=Origin.UNFIT, reason=reason)
    if own is None:
        root = start.directory.rpartition("/")[0]
        return replace(start, reason=f"{_BEGINS}: there is no state of it in {root}")
    if lost := broker.unreadable(read):
        why = "; ".join(lost)
        reason = f"{_BEGINS}, without the state in {own.newest}: records were deleted before they were read: {why}"
        return replace(start, origin=Origin.UNFIT, reason=reason)
    claims = f"/{SAVEPOINTS}/" not in own.newest.removeprefix(own.folder)
    reason = f"goes on from {own.newest}"
    return replace(start, origin=Origin.RESTORED, reason=reason, restore_from=own.newest, claims=claims)


def _from_initial(place: str, start: Start, identity: Identity, broker: BrokerView, files: Files) -> Start:
    """Start from the state that the spec names as Flink and the status do, or, where it does not fit, without any."""
    place = (f"file://{place}" if place.startswith("/") else place).rstrip("/")
    metadata = next((entry for entry in files.list(place) if entry.name == _METADATA), None)
    if metadata is None:
        why = [f"there is no complete savepoint or checkpoint, {place}/{_METADATA} is missing"]
    else:
        known = _identity_above(place, files)
        same = known is None or replace(known, pipeline=identity.pipeline) == identity
        why = broker.begins_after(metadata.modified) if same or known is None else identity.differences(known)
    if why:
        reason = f"{_BEGINS}, without processing.initialSavepoint {place}: {'; '.join(why)}"
        return replace(start, origin=Origin.UNFIT, reason=reason)
    reason = f"goes on from processing.initialSavepoint {place}"
    return replace(start, origin=Origin.RESTORED, reason=reason, restore_from=place, claims=False)


def _identity_above(place: str, files: Files) -> Identity | None:
    """What a state that lies in a folder of ours belongs to; None for one that was copied elsewhere."""
    for _ in range(2):
        place = place.rpartition("/")[0]
        if (text := files.read(f"{place}/{_IDENTITY}")) is not None:
            return Identity.read(text)
    return None


@dataclass(frozen=True, slots=True)
class _State:
    """A folder that holds state: the newest in it, when that was written, and the savepoints in it that are kept."""

    folder: str
    identity: Identity
    newest: str
    modified: int
    savepoints: tuple[tuple[str, int], ...]


def _all_state(root: str, identity: Identity, files: Files) -> list[_State]:
    """This pipeline's state of any identity, that which was written last first; of former ones a few are kept."""
    found = []
    for entry in files.list(root):
        folder = f"{root}/{entry.name}"
        if not entry.is_folder or not entry.name.startswith(_FOLDER):
            continue
        text = files.read(f"{folder}/{_IDENTITY}")
        known = Identity.read(text) if text is not None else None
        if known is None and entry.name == _FOLDER + identity.fingerprint:
            known = identity  # its name says as much as the file, which a crash may have left half written
        if known is not None and known.pipeline == identity.pipeline:
            own = known.fingerprint == identity.fingerprint
            complete = _complete(folder, files, tidy=own)
            if (newest := max(complete, key=_age, default=None)) is not None:
                kept = tuple((e.path, e.modified) for e in complete if e.path.startswith(f"{folder}/{SAVEPOINTS}/"))
                found.append(_State(folder, known, newest.path, newest.modified, kept))
    found.sort(key=lambda state: state.modified, reverse=True)
    former = [state for state in found if state.identity != identity and identity.is_same_pipeline(state.identity)]
    for state in (state for state in former[_KEPT_FORMER:] if not state.savepoints):
        _log.info("removing state of former queries", extra={"folder": state.folder})
        files.remove(state.folder)
        found.remove(state)
    return found


def _read_offsets(last: _State | None, directory: str, broker: BrokerView, files: Files) -> Mapping[str, int]:
    """How far the state in `directory` has read.

    What is committed is of the state of this pipeline on this cluster that was written last. When another folder's
    turn comes, that is noted there, for the day when the change is taken back.
    """
    if last is None or last.folder == directory:
        return {}
    committed = {name: p.committed for name, p in broker.partitions.items() if p.committed is not None}
    files.write(f"{last.folder}/{_READ}", _json(committed))
    text = files.read(f"{directory}/{_READ}")
    return _offsets(text) if text is not None else {}


def _offsets(text: bytes) -> Mapping[str, int]:
    """What was noted; nothing for a note that a crash left half written."""
    try:
        noted = json.loads(text)
    except ValueError:
        noted = None
    return noted if isinstance(noted, dict) else {}


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode()


def _complete(directory: str, files: Files, *, tidy: bool) -> list[Entry]:
    """The complete checkpoints and savepoints; with `tidy` what a killed job left half written is removed."""
    complete: list[Entry] = []
    rest: list[str] = []
    for entry in files.list(directory):
        if not entry.is_folder:
            continue
        inside = files.list(entry.path)
        if entry.name.startswith("savepoint-"):
            complete += [Entry(entry.path, True, file.modified) for file in inside if file.name == _METADATA]
            continue
        for part in inside:
            content = files.list(part.path) if part.is_folder else []
            whole = [file for file in content if file.name == _METADATA]
            complete += [Entry(part.path, True, file.modified) for file in whole]
            if part.is_folder and not whole and (part.name.startswith("chk-") or not content):
                rest.append(part.path)
    for path in rest if tidy else ():
        files.remove(path)
    return complete


def _age(entry: Entry) -> tuple[int, bool, int]:
    """What grows from one state to the next: some places tell whole seconds, and a job that is stopped saves last."""
    number = entry.name.rpartition("-")[2]
    return entry.modified, entry.name.startswith("savepoint-"), int(number) if number.isdecimal() else 0
