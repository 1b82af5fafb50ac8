"""What crosses fields or time, as CEL rules, in the words that `marketpipeline validate` has for it.

A rule is attached by the path of the schema node that it reads. The API server bounds what a rule may cost; the
spec's maximal lengths (`maxItems`, `maxLength`) are what keeps these below it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, get_args, get_origin

from marketpipeline.alert_kinds import alert_kinds
from marketpipeline.schema import SCALING_ORDER, NumberRules, TextRules, milliseconds
from marketpipeline.sink_kinds import sink_kinds
from marketpipeline.spec import (
    API_NEEDS_A_SINK,
    BACKED_UP,
    DASHBOARD_NEEDS_A_KEY,
    DASHBOARD_NEEDS_THE_API,
    NEEDS_A_DATABASE,
    RAW_NEEDS_A_FEED,
    WAKES_LATER,
    BookSource,
    PipelineSpec,
    Sinks,
)
from marketpipeline.spec.flink import DECIDED, FLINK_KEY
from marketpipeline.spec.market import Window
from marketpipeline.spec.selectors import LARGEST_RANK, RANKED
from marketpipeline.spec.sinks import FEEDS_NEEDED, needs_a_feed
from marketpipeline.topics import EXCHANGE_FEEDS, Feed
from marketpipeline.venues import Venue, venues
from pydantic import BaseModel

__all__ = ["RULES", "Rule", "attach", "rules"]

Rule = dict[str, str]

_NUMBER = "int(d.replace('ms', '').replace('s', '').replace('m', '').replace('h', '').replace('d', ''))"
_UNITS = (("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000))


def _quoted(values: Any) -> str:
    return ", ".join(f"'{value}'" for value in sorted(values))


def _texts(model: type[BaseModel], path: str) -> dict[str, list[Rule]]:
    """The rules of every text below a model: of its fields, of the values of its mappings, of the models in it."""
    found: dict[str, list[Rule]] = {}
    for name, field in model.model_fields.items():
        here = f"{path}.{field.alias or name}"
        if rules := _rules_of(field.metadata):
            found[here] = rules
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= _texts(part, f"{here}[]" if get_origin(field.annotation) is list else here)
            if rules := _rules_of(getattr(part, "__metadata__", ())):
                found[f"{here}{{}}" if get_origin(field.annotation) is dict else here] = rules
    return found


def _rules_of(marks: Iterable[Any]) -> list[Rule]:
    """Of the annotations of a type; those of numbers are in the schema itself."""
    return [
        {"rule": f"{'!' if rule.wrong else ''}self.matches(r'{rule.pattern}')", "message": rule.message}
        for mark in marks
        if isinstance(mark, TextRules) and not isinstance(mark, NumberRules)
        for rule in mark.rules
    ]


def _api_has_a_store() -> Rule:
    enabled = []
    for name, field in Sinks.model_fields.items():
        given = "" if field.default_factory else f"has(self.sinks.{name}) && "
        if sink_kinds()[name].answers:
            enabled.append(f"({given}self.sinks.{name}.enabled)" if given else f"self.sinks.{name}.enabled")
    return {"rule": " || ".join(["!self.api.enabled", *enabled]), "message": API_NEEDS_A_SINK}


def _sinks_are_fed() -> list[Rule]:
    found = []
    for name, feeds in FEEDS_NEEDED.items():
        absent = "" if Sinks.model_fields[name].default_factory else f"!has(self.sinks.{name}) || "
        fed = f"self.feeds.exists(f, f in [{_quoted(feeds)}])"
        found.append({"rule": f"{absent}!self.sinks.{name}.enabled || {fed}", "message": needs_a_feed(name)})
    return found


def _stores_of_clusters() -> dict[str, list[Rule]]:
    """What a sink needs on a cluster, where one machine has a store of its own."""
    found: dict[str, list[Rule]] = {}
    for kind in sink_kinds().values():
        for name in kind.cluster_needs:
            field = kind.spec.model_fields[name].alias or name
            message = (
                f"sinks.{kind.name}.{field} is needed on a cluster: without it there is no {kind.title} to write to"
            )
            rule = {"rule": f"!self.enabled || has(self.{field})", "message": message}
            found.setdefault(f"spec.sinks.{kind.name}", []).append(rule)
    return found


def _dashboard_has_an_api() -> list[Rule]:
    keyless = "!has(self.api.auth.secretName) || has(self.dashboard.apiKeySecret)"
    return [
        {"rule": "!self.dashboard.enabled || self.api.enabled", "message": DASHBOARD_NEEDS_THE_API},
        {"rule": f"!self.dashboard.enabled || {keyless}", "message": DASHBOARD_NEEDS_A_KEY},
    ]


def _fixed(field: str, why: str) -> Rule:
    """A field that keeps the value, or the absence, that it was created with."""
    both = f"has(self.{field}) == has(oldSelf.{field})"
    return {"rule": f"{both} && (!has(self.{field}) || self.{field} == oldSelf.{field})", "message": why}


def _symbols() -> list[Rule]:
    known = venues()
    names = ", ".join(sorted(known))
    return [
        {
            "rule": f"self.split(':')[0] in [{_quoted(known)}]",
            "messageExpression": f"'unknown exchange \"' + self.split(':')[0] + '\"; known: {names}'",
        },
        *(_symbol_of(venue) for venue in known.values()),
        {
            "rule": f"!self.matches('^[^:]+:top-') || self.matches('^[^:]+:{RANKED}$')",
            "message": f"must be exchange:top-N-MARKET with N from 1 to {LARGEST_RANK}, e.g. top-20-USDT",
        },
    ]


def _excluded() -> list[Rule]:
    known = venues()
    return [
        _symbols()[0],
        *(_symbol_of(venue) for venue in known.values()),
        {
            "rule": "!self.matches('^[^:]+:top-')",
            "message": "must be a symbol or a pattern, e.g. *USDT: what is excluded does not go by its rank",
        },
    ]


def _known_exchanges() -> Rule:
    known = venues()
    text = f"unknown exchange; known: {', '.join(sorted(known))}"
    return {"rule": f"self.all(k, k in [{_quoted(known)}])", "message": text}


def _symbol_of(venue: Venue) -> Rule:
    pattern = venue.symbol_pattern.replace("\\", "\\\\")
    return {
        "rule": f"!self.startsWith('{venue.name}:') || self.contains('*') || self.startsWith('{venue.name}:top-') || "
        f"self.matches('^{venue.name}:({pattern})$')",
        "message": f"is not a symbol of {venue.name}; write it like {venue.name}:{venue.symbol_example}",
    }


def _of_exchange(venue: Venue) -> list[Rule]:
    """What only some exchanges offer; nothing for one that has it all."""
    follows = f"self.symbols.exists(s, s.startsWith('{venue.name}:'))"
    found = []
    if missing := set(EXCHANGE_FEEDS) - venue.feeds:
        offered = ", ".join(sorted(venue.feeds))
        found.append(
            {
                "rule": f"!{follows} || !self.feeds.exists(f, f in [{_quoted(missing)}])",
                "message": f"feeds: {venue.name} offers only {offered}",
            }
        )
    levels = ", ".join(map(str, venue.book_levels))
    partial = f"self.depth.source == '{BookSource.PARTIAL.value}' && '{Feed.BOOK.value}' in self.feeds"
    found.append(
        {
            "rule": f"!({partial} && {follows}) || self.depth.levels in [{levels}]",
            "message": f"depth.levels must be one of {levels} with depth.source partial on {venue.name}",
        }
    )
    return found


def _ascending_thresholds() -> dict[str, list[Rule]]:
    """Of each group of thresholds: they do not descend, from the least severe on."""
    found: dict[str, list[Rule]] = {}
    for kind in alert_kinds().values():
        for lower, higher in pairwise(kind.thresholds):
            if lower.group is not None and lower.group == higher.group:
                low, high = (threshold.path.rpartition(".")[2] for threshold in (lower, higher))
                message = f"thresholds.{lower.path} must be at most thresholds.{higher.path}"
                rule = {"rule": f"self.{low} <= self.{high}", "message": message}
                found.setdefault(f"spec.thresholds.{lower.group}", []).append(rule)
    return found


_ORDERED = {"rule": "self.min <= self.max", "message": SCALING_ORDER}


def _scaled() -> list[str]:
    """What can be scaled."""
    return ["ingestion", "processing", *(f"sinks.{name}" for name in Sinks.model_fields)]


def _lateness_below_windows() -> str:
    """A window is compared in milliseconds, by a table: CEL's durations know no days, and cost more."""
    units = "".join(f"d.endsWith('{unit}') ? {factor} : " for unit, factor in _UNITS) + "86400000"
    windows = ", ".join(f"'{window}': {milliseconds(window)}" for window in get_args(Window))
    lateness = f"[self.processing.allowedLateness].map(d, {_NUMBER} * ({units}))[0]"
    return f"self.windows.all(w, {lateness} < {{{windows}}}[w])"


def rules() -> dict[str, list[Rule]]:
    """All rules by path: names from the root of the object, `[]` for a list's items, `{}` for a map's values."""
    return {
        "": [
            {
                "rule": "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 40",
                "message": "metadata.name: must be a to z, 0 to 9 and -, start with a letter and have at most 40 "
                "characters, since the names of all its parts are made from it",
            }
        ],
        "spec": [
            {
                "rule": _lateness_below_windows(),
                "message": "processing.allowedLateness must be below the smallest window",
            },
            _api_has_a_store(),
            {
                "rule": "!(has(self.backup) || has(self.recovery)) || self.sinks." + BACKED_UP + ".enabled",
                "message": NEEDS_A_DATABASE,
            },
            {"rule": f"self.feeds.exists(f, f != '{Feed.RAW.value}')", "message": RAW_NEEDS_A_FEED},
            *_sinks_are_fed(),
            *_dashboard_has_an_api(),
            *(rule for venue in venues().values() for rule in _of_exchange(venue)),
        ],
        "spec.symbols[]": _symbols(),
        "spec.exclude[]": _excluded(),
        **{f"spec.ingestion.{urls}": [_known_exchanges()] for urls in ("websocketUrls", "restUrls")},
        "spec.hibernation": [
            {"rule": "self.schedule != self.wake", "message": WAKES_LATER, "fieldPath": ".wake"},
        ],
        "spec.depth": [
            {
                "rule": "self.calculate <= self.levels",
                "message": "depth.calculate must be at most depth.levels",
            }
        ],
        **_ascending_thresholds(),
        **{f"spec.{part}.scaling": [_ORDERED] for part in _scaled()},
        **_stores_of_clusters(),
        **_texts(PipelineSpec, "spec"),
        "spec.broker": [
            {
                "rule": "!has(self.passwordSecret) || has(self.username)",
                "message": "broker.username is needed with broker.passwordSecret",
            },
            {
                "rule": "self.tls || !(has(self.caSecret) || has(self.clientCertificateSecret))",
                "message": "broker.tls must be true with broker.caSecret or broker.clientCertificateSecret",
            },
            {
                "rule": "!(self.provider in ['redpanda', 'strimzi']) || has(self.cluster)",
                "messageExpression": "'broker.cluster is needed with broker.provider ' + self.provider",
            },
            {
                "rule": "!has(self.__namespace__) || has(self.cluster)",
                "message": "broker.cluster is needed with broker.namespace",
            },
            _fixed("__namespace__", "broker.namespace may not change: the topics would stay in the former one"),
            _fixed("topicPrefix", "broker.topicPrefix may not change: the data would stay in topics of the old name"),
            {
                "rule": "self.partitions >= oldSelf.partitions",
                "message": "broker.partitions may grow, never shrink",
            },
        ],
        "spec.processing": [
            {
                "rule": "self.flinkConfiguration.all(k, k.matches(r'" + FLINK_KEY + "'))",
                "message": "processing.flinkConfiguration: must be the names of Flink's settings, e.g. "
                "taskmanager.memory.managed.fraction",
            },
            *(
                {
                    "rule": f"!('{key}' in self.flinkConfiguration)",
                    "message": f"processing.flinkConfiguration: {key} may not be given: {why}",
                }
                for key, why in DECIDED.items()
            ),
            {
                "rule": "self.mode == oldSelf.mode",
                "message": "processing.mode may not change: the state of the job would be lost",
            },
        ],
    }


RULES = rules()


def attach(schema: dict[str, Any]) -> None:
    """Add each rule to the node of `schema` that its path names. Raises KeyError for a path that is not there."""
    for path, found in RULES.items():
        node = schema
        for part in filter(None, path.split(".")):
            node = node["properties"][part.rstrip("[]{}")]
            if part.endswith("[]"):
                node = node["items"]
            elif part.endswith("{}"):
                node = node["additionalProperties"]
        node["x-kubernetes-validations"] = found
