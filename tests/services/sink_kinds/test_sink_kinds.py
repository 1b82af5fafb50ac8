"""Nothing of a kind of sink is forgotten: what its entry names exists, and what is kept per kind elsewhere is there."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import pytest
from marketpipeline.plan import plan
from marketpipeline.registry import resolve
from marketpipeline.setup.installers import Installers
from marketpipeline.setup.places import places
from marketpipeline.sink_kinds import SinkKind, SinkSettings, SinkSpec, sink_kinds
from marketpipeline.sink_kinds.redis import SINK as REDIS
from marketpipeline.spec import load_object

from tests.conftest import PROJECT
from tests.services.sinks.stores import STORES

OWN_SUITES = {"notify": "notify/test_sink.py"}
"""Sinks that store nothing: what they keep instead of the contract of stores is held by tests of their own."""

KINDS = pytest.mark.parametrize("kind", sink_kinds().values(), ids=lambda kind: kind.name)


def extras() -> dict[str, list[str]]:
    found: dict[str, list[str]] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    return found


def settings_of(kind: SinkKind) -> SinkSettings:
    """As a plan has them, with the kind's defaults, and the examples of what has none."""
    needed = {field.alias: field.examples for field in kind.spec.model_fields.values() if field.is_required()}
    assert all(needed.values()), f"{kind.name}: a required field needs `examples`"
    sinks = {kind.name: {alias: (examples or [None])[0] for alias, examples in needed.items()}}
    head = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "crypto"}}
    pipeline = load_object(head | {"spec": {"symbols": ["binance:BTCUSDT"], "sinks": sinks}})
    return kind.settings(**plan(pipeline).workload(kind.component).settings)


@KINDS
def test_its_sink_is_what_the_entry_says(kind: SinkKind) -> None:
    settings = settings_of(kind)
    sink = resolve(kind.sink)(settings)
    read = kind.topics_read(settings.model_dump()["store"])
    assert (sink.name, sink.topics) == (kind.name, read)
    assert read <= kind.topics


@KINDS
def test_what_its_entry_names_exists(kind: SinkKind) -> None:
    for target in (kind.server, kind.reader, *(job.target for job in kind.jobs)):
        assert target is None or callable(resolve(target))


@KINDS
def test_its_extra_is_declared_and_part_of_a_run_on_one_machine(kind: SinkKind) -> None:
    assert kind.extra in extras()
    assert kind.server_extra is None or kind.server_extra in extras()
    light = any(kind.extra in line for line in extras()["local"] if line.startswith("marketpipeline["))
    assert light or kind.extra in Installers(places()).on_demand(), "else no set-up installs it"


@KINDS
def test_its_store_is_in_the_contract_suite(kind: SinkKind) -> None:
    assert kind.name in STORES or (PROJECT / "tests/services/sinks" / OWN_SUITES[kind.name]).is_file(), (
        f"add the store of {kind.name} to tests/services/sinks/stores.py"
    )


def test_no_two_programs_have_one_name() -> None:
    names = [name for kind in sink_kinds().values() for name in kind.components]
    assert len(set(names)) == len(names)


LONG_JOB = replace(sink_kinds()["timescale"].jobs[0], name="house-keeping")


class _NoSecret(SinkSpec):
    """A section without the field that names the Secret."""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Redis"}, "sink 'Redis': the name must be 1 to 24 of a to z and 0 to 9, a letter first"),
        ({"sink": "marketpipeline.sinks.redis"}, "sink redis: 'marketpipeline.sinks.redis' must have the form"),
        ({"server": "x"}, "sink redis: 'x' must have the form module:name"),
        ({"settings": SinkSettings}, "sink redis: SinkSettings lacks a field `store` of a StoreSettings"),
        ({"secrets": {"token": "password_secret"}}, "sink redis: secrets: RedisStoreSettings has no field 'token'"),
        ({"jobs": (LONG_JOB,)}, "sink redis: job 'house-keeping': its name has at most 11 characters"),
        ({"spec": _NoSecret}, "sink redis: secrets: _NoSecret has no field 'password_secret'"),
    ],
)
def test_an_entry_that_could_not_work_says_what_is_wrong(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(")):
        replace(REDIS, **change)
