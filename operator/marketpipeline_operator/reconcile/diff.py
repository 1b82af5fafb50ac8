"""Whether a child is as it should be.

What the operator wants is compared with what is there; what others added, as defaults of the API server or a sidecar,
does not count. So a child is written only when a field that the operator sets has another value.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from marketpipeline.schema import quantity

from marketpipeline_operator.cluster.cache import Child
from marketpipeline_operator.names import RENDERED, Object

__all__ = ["Matched", "difference", "is_as_wanted"]

Matched = dict[tuple[str, str], tuple[Child, str]]
"""By kind and name: a child that was as wanted, and the hash of what was wanted."""

_MERGE_KEYS = ("name", "uid", "mountPath", "containerPort", "port", "key")
_QUANTITIES = frozenset({"cpu", "memory", "sizeLimit", "ephemeral-storage", "storage"})


def difference(wanted: Object, live: Object) -> str | None:
    """Path of the first thing that is not as wanted, or None.

    A change that only removes a field shows in the annotation with the hash of what was rendered.
    """
    rendered = live["metadata"].get("annotations", {}).get(RENDERED)
    if rendered != wanted["metadata"]["annotations"][RENDERED]:
        return "desired state"
    return _compare(wanted, live, "", "")


def is_as_wanted(wanted: Object, child: Child, matched: Matched) -> bool:
    """Whether a child is as wanted; one that was found to be so before is not compared again."""
    rendered = wanted["metadata"]["annotations"][RENDERED]
    known = matched.get((wanted["kind"], wanted["metadata"]["name"]))
    return known == (child, rendered) or difference(wanted, child.body) is None


def _compare(wanted: Any, live: Any, path: str, name: str) -> str | None:
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping):
            return None if not wanted and live is None else path
        return _first(
            _compare(value, live.get(key), f"{path}.{key}" if path else key, key) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return _compare_lists(wanted, live or [], path, name) if isinstance(live, list | None) else path
    if wanted == live or (not wanted and live is None):
        return None
    same = name in _QUANTITIES and _quantity(wanted) == _quantity(live) is not None
    return None if same else path


def _compare_lists(wanted: list[Any], live: list[Any], path: str, name: str) -> str | None:
    key = _merge_key(wanted)
    if key is None:
        if len(wanted) != len(live):
            return path
        pairs = zip(wanted, live, strict=True)
        return _first(_compare(ours, theirs, f"{path}[{i}]", name) for i, (ours, theirs) in enumerate(pairs))
    there = {entry.get(key): entry for entry in live if isinstance(entry, Mapping)}
    return _first(_compare(ours, there.get(ours[key]), f"{path}[{ours[key]}]", name) for ours in wanted)


def _merge_key(entries: list[Any]) -> str | None:
    """The field by which the entries of a list are told apart, whatever their order; None where that is the order."""
    if entries and all(isinstance(entry, Mapping) for entry in entries):
        return next((key for key in _MERGE_KEYS if _tells_apart(key, entries)), None)
    return None


def _tells_apart(key: str, entries: list[Any]) -> bool:
    return all(key in entry for entry in entries) and len({str(entry[key]) for entry in entries}) == len(entries)


def _first(found: Any) -> str | None:
    return next((path for path in found if path is not None), None)


def _quantity(value: Any) -> Decimal | None:
    try:
        return quantity(str(value))
    except ValueError:
        return None
