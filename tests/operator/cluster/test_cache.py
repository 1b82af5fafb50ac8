"""The cache: what is news, in whatever order it comes."""

from __future__ import annotations

from typing import Any

from marketpipeline_operator.builders import build
from marketpipeline_operator.cluster.cache import Cache
from marketpipeline_operator.cluster.kinds import CHILD_KINDS
from marketpipeline_operator.names import COMPONENT, PIPELINE

from tests.operator.builders.support import context_of

KEY = ("ns", "crypto")
CONFIG_MAP = next(kind for kind in CHILD_KINDS if kind.kind == "ConfigMap")


def child(version: int = 1, uid: str = "u1", name: str = "crypto-api", **labels: str) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "ns",
        "uid": uid,
        "resourceVersion": str(version),
        "managedFields": [1],
        "labels": {PIPELINE: "crypto"} | labels,
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"v": str(version)}}


def test_an_older_event_does_not_replace_what_is_newer() -> None:
    cache = Cache()
    assert cache.put(child(5)) == KEY
    assert cache.put(child(5)) is None
    assert cache.put(child(4)) is None
    assert cache.put(child(6)) == KEY
    found = cache.child(KEY, "ConfigMap", "crypto-api")
    assert found is not None
    assert found["data"] == {"v": "6"}
    assert "managedFields" not in found["metadata"]


def test_an_object_made_anew_replaces_the_old_one_and_the_olds_deletion_is_no_news() -> None:
    cache = Cache()
    cache.put(child(5))
    assert cache.put(child(7, uid="u2")) == KEY
    assert cache.drop(child(6, uid="u1")) is None
    assert cache.drop(child(8, uid="u2")) == KEY
    assert cache.children(KEY) == {}


def test_what_has_no_pipeline_is_not_kept() -> None:
    cache = Cache()
    thing = child()
    thing["metadata"]["labels"] = {}
    assert cache.put(thing) is None


def test_a_listing_shows_what_a_watch_did_not_tell() -> None:
    cache = Cache()
    cache.put(child(5))
    cache.put(child(5, uid="u3", name="crypto-gone"))
    listed = [child(5), child(9, uid="u2", name="crypto-new")]
    assert (cache.stale(CONFIG_MAP, listed), cache.gone_from(CONFIG_MAP, listed)) == ({"u2"}, {"u3"})
    listed = [child(6), child(5, uid="u3")]
    assert (cache.stale(CONFIG_MAP, listed), cache.gone_from(CONFIG_MAP, listed)) == ({"u1"}, set())
    assert cache.stale(CONFIG_MAP, [child(5), child(5, uid="u3")]) == set()


def test_every_process_of_a_pipeline_is_asked_how_it_is() -> None:
    """Also one whose readiness is another question, as that of ingestion is; but not what Flink serves."""
    cache, wanted = Cache(), dict[str, str]()
    for number, thing in enumerate(build(context_of())):
        if thing["kind"] != "Deployment":
            continue
        template, name = thing["spec"]["template"], thing["metadata"]["name"]
        head = {"name": f"{name}-x", "namespace": "ns", "uid": name, "resourceVersion": str(number)}
        status = {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
        metadata = template["metadata"] | head
        cache.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"], "status": status})
        if template["metadata"]["labels"][COMPONENT] != "stream-job":
            port = next(p["containerPort"] for p in template["spec"]["containers"][0]["ports"] if p["name"] == "http")
            wanted[name] = f"http://10.0.0.1:{port}/health"
    assert {uid: url for uid, (_, url) in cache.health_urls().items()} == wanted
    assert {"crypto-ingestion-binance-0", "crypto-sink-redis", "crypto-api"} <= wanted.keys()
    assert not cache.children(("ns", "crypto"))
    assert ("Pod", "crypto-api-x") in cache.children(("ns", "crypto"), pods=True)
