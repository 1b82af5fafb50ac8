"""Who has topics that several pipelines name, as pipelines come, change and go."""

from __future__ import annotations

from itertools import count

from marketpipeline_operator.cluster.cache import Cache
from marketpipeline_operator.cluster.kinds import PIPELINE_KIND
from marketpipeline_operator.names import Object
from marketpipeline_operator.reconcile.ownership import TopicOwnership

VERSIONS = count(1)
A, B = ("one", "crypto"), ("two", "crypto")


def pipeline(namespace: str, servers: str, *, born: str = "2026-01-01T00:00:00Z", **more: object) -> Object:
    return {
        "apiVersion": PIPELINE_KIND.api_version,
        "kind": PIPELINE_KIND.kind,
        "metadata": {
            "name": "crypto",
            "namespace": namespace,
            "uid": namespace,
            "resourceVersion": str(next(VERSIONS)),
            "creationTimestamp": born,
        },
        "spec": {"broker": {"bootstrapServers": servers}},
        **more,
    }


def test_the_older_has_them_until_it_goes_or_names_others() -> None:
    cache = Cache()
    ownership = TopicOwnership(cache)
    first = pipeline("one", "kafka.a.example:9092")
    cache.put(first)
    assert ownership.owner_before(A) is None
    cache.put(pipeline("two", "kafka.b.example:9092, kafka.a.example:9092", born="2026-01-02T00:00:00Z"))
    assert (ownership.owner_before(A), ownership.owner_before(B)) == (None, "one/crypto")
    assert ownership.waiting == {B}
    cache.put(pipeline("one", "kafka.c.example:9092"))
    assert ownership.owner_before(B) is None
    assert ownership.waiting == set()
    cache.put(again := pipeline("one", "kafka.b.example:9092", status={"topics": {"applied": "x"}}))
    assert ownership.shared_with(A) == "two/crypto"
    assert ownership.owner_before(B) == "one/crypto", "who has made them, has them"
    cache.drop(again)
    assert ownership.owner_before(B) is None
    assert ownership.owner_before(A) is None, "of one that is gone nothing is known"


def test_a_name_of_a_service_is_of_its_namespace() -> None:
    cache = Cache()
    ownership = TopicOwnership(cache)
    cache.put(pipeline("one", "redpanda:9092"))
    cache.put(pipeline("two", "redpanda:9092", born="2026-01-02T00:00:00Z"))
    assert ownership.owner_before(B) is None
    cache.put(pipeline("two", "redpanda.one.svc.cluster.local:9092", born="2026-01-02T00:00:00Z"))
    assert ownership.owner_before(B) == "one/crypto"
    cache.put(pipeline("one", "[fd00::7]:9092"))
    assert ownership.owner_before(B) is None
    cache.put(pipeline("two", "[fd00::7]:9092", born="2026-01-02T00:00:00Z"))
    assert ownership.owner_before(B) == "one/crypto", "an address is the same everywhere"
