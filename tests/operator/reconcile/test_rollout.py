"""One process of ingestion after another, and what is broken at once."""

from __future__ import annotations

import pytest
from marketpipeline_operator.builders import build, processes
from marketpipeline_operator.cluster.cache import Child
from marketpipeline_operator.cluster.kinds import POD, kind_of
from marketpipeline_operator.names import COMPONENT, PROCESS, Object
from marketpipeline_operator.observe.components import ComponentState, Fault
from marketpipeline_operator.packed import pack
from marketpipeline_operator.reconcile.rollout import Rollout, plan_rollout

from tests.operator.builders.support import context_of

SYMBOLS = [f"binance:{base}USDT" for base in ("BTC", "ETH", "SOL", "XRP", "ADA")]
OLD = context_of(symbols=SYMBOLS, ingestion={"replicas": 3, "redundancy": 2})
NEW = context_of(symbols=SYMBOLS, ingestion={"replicas": 3, "redundancy": 2}, depth={"levels": 30})
NAMES_OF_NEW = ("ingestion-binance-1", "ingestion-binance-2")
NAMES = [f"ingestion-binance-{number}" for number in range(3)]
WHOLE = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
SURGING = {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 1, "readyReplicas": 2}


def there(*versions: tuple[list[Object], Object]) -> dict[tuple[str, str], Child]:
    """The ingestion Deployments of the cluster, each of a version (all children of it) and with a status."""
    found = {}
    for number, (version, status) in enumerate(versions):
        thing = next(
            t for t in version if t["kind"] == "Deployment" and t["metadata"]["name"] == f"crypto-{NAMES[number]}"
        )
        body = thing | {"metadata": thing["metadata"] | {"generation": 1}, "status": status}
        mark = (thing["kind"], thing["metadata"]["name"])
        found[mark] = Child(kind_of(thing), "markets", mark[1], "uid", 1, pack(body))
    return found


def pod(number: int, *, runs: bool) -> dict[tuple[str, str], Child]:
    """A Pod of one of them that is not in sync: it reads some of its symbols, or it ends again and again."""
    name = f"crypto-{NAMES[number]}-abc"
    container = {"started": runs, "ready": False, "state": {"running": {}} if runs else {"waiting": {}}}
    labels = {COMPONENT: "ingestion", PROCESS: NAMES[number]}
    metadata = {"name": name, "labels": labels}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"containerStatuses": [container]}}
    return {("Pod", name): Child(POD, "markets", name, "uid", 1, pack(body))}


def rollout(*versions: tuple[list[Object], Object], wanted: list[Object] | None = None) -> Rollout:
    return plan_rollout(processes(NEW), new() if wanted is None else wanted, there(*versions), {})


def old() -> list[Object]:
    return build(OLD)


def new() -> list[Object]:
    return build(NEW)


def test_of_three_that_run_the_first_is_written() -> None:
    found = rollout(*[(old(), WHOLE)] * 3)
    assert (found.moving, found.waiting) == (("ingestion-binance-0",), ("ingestion-binance-1", "ingestion-binance-2"))
    held = {f"crypto-{name}" for name in found.waiting}
    assert found.held == {(kind, name) for kind in ("Deployment", "ConfigMap") for name in held}


@pytest.mark.parametrize(
    "status", [SURGING, WHOLE | {"readyReplicas": 1}, WHOLE | {"observedGeneration": 0}, {}],
    ids=["surging", "one not in sync", "not seen yet", "no status"],
)  # fmt: skip
def test_while_one_is_on_its_way_the_others_wait(status: Object) -> None:
    found = rollout((new(), status), (old(), WHOLE), (old(), WHOLE))
    assert (found.moving, found.waiting) == (("ingestion-binance-0",), ("ingestion-binance-1", "ingestion-binance-2"))


def test_when_it_is_there_the_next_is_written_and_at_last_nothing_is_held() -> None:
    assert rollout((new(), WHOLE), (old(), WHOLE), (old(), WHOLE)).waiting == ("ingestion-binance-2",)
    assert rollout((new(), WHOLE), (new(), WHOLE), (old(), WHOLE)).waiting == ()
    assert rollout(*[(new(), WHOLE)] * 3) == Rollout()


def test_what_does_not_run_as_it_should_is_written_at_once_so_that_a_change_can_be_taken_back() -> None:
    taken_back = rollout((new(), SURGING), (old(), WHOLE), (old(), WHOLE), wanted=old())
    assert (taken_back.held, taken_back.moving) == (frozenset(), ("ingestion-binance-0",))
    all_broken = rollout(*[(old(), SURGING | {"readyReplicas": 0})] * 3)
    assert all_broken.held == frozenset()


def test_symbols_move_to_new_processes_before_the_others_let_go() -> None:
    found = rollout((old(), WHOLE))
    assert (found.moving, found.waiting) == (NAMES_OF_NEW, ("ingestion-binance-0",))
    assert not {name for _, name in found.held} & {f"crypto-{name}" for name in NAMES_OF_NEW}, "these are written"
    whole = [(new(), WHOLE)] * 2
    assert rollout((old(), WHOLE), *whole).moving == ("ingestion-binance-0",)


def test_what_goes_stays_until_the_others_read_its_symbols_unless_it_does_not_run() -> None:
    broken = WHOLE | {"readyReplicas": 0}
    moving = there((new(), SURGING), (old(), WHOLE), (old(), broken))
    found = plan_rollout(processes(NEW), new(), moving | pod(1, runs=True) | pod(2, runs=False), {})
    assert {name for kind, name in found.staying if kind == "Deployment"} == {f"crypto-{NAMES[1]}"}
    whole = there(*[(new(), WHOLE)] * 3) | pod(0, runs=True)
    assert plan_rollout(processes(NEW), new(), whole, {}).staying == frozenset(), "nothing moves"
    assert rollout(*[(old(), broken)] * 3).staying == frozenset(), "no spec is kept from being corrected"


def test_what_starts_or_stops_waits_for_nothing() -> None:
    assert rollout().held == frozenset()
    stopped = [t | {"spec": t["spec"] | {"replicas": 0}} if t["kind"] == "Deployment" else t for t in new()]
    assert rollout(*[(old(), WHOLE)] * 3, wanted=stopped).held == frozenset()
    assert rollout(*[(stopped, {"observedGeneration": 1})] * 3).held == frozenset()


def test_it_says_where_it_stops_and_what_still_runs() -> None:
    found = rollout((new(), SURGING), (old(), WHOLE), (old(), WHOLE))
    fault = Fault("ImagePullBackOff", "ingestion-binance-0: no such image")
    states = [ComponentState(NAMES[0], 2, 1, (fault,)), *(ComponentState(name, 2, 2) for name in NAMES[1:])]
    assert found.faults(states) == [
        Fault(
            "RolloutHalted",
            "the change stops at ingestion-binance-0: no such image; as before run ingestion-binance-1, "
            "ingestion-binance-2",
        )
    ]
    assert found.faults([ComponentState(name, 2, 2) for name in NAMES]) == []
    assert [found.seen(state).ready for state in states] == [1, 0, 0]
