"""kopf's part: it watches and passes on what it sees. Handlers hold no logic, and kopf writes nothing to any object.

Every kind is indexed, since kopf calls no other handler before everything that exists has been indexed: so no child is
taken for missing that was only not listed yet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

import kopf

from marketpipeline_operator.cluster.client import Credentials
from marketpipeline_operator.cluster.kinds import AUTOSCALER, PIPELINE_KIND, Kind
from marketpipeline_operator.names import FIELD_MANAGER, MANAGED_BY, PREFIX, Object
from marketpipeline_operator.settings import OperatorSettings

__all__ = ["Observer", "kopf_settings", "registry_of"]


class Observer(Protocol):
    """Who receives what the watches see."""

    def seen(self, thing: Object) -> None:
        """An object as it is now."""

    def gone(self, thing: Object) -> None:
        """An object that was deleted."""

    def synced(self) -> None:
        """All that exists has been seen."""


def registry_of(
    kinds: Collection[Kind], observer: Observer, credentials: Callable[[], Credentials]
) -> kopf.OperatorRegistry:
    """Handlers for pipelines and children of `kinds`, and for the login, with the operator's own credentials."""
    registry = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        mine = credentials()
        scheme, space, token = (mine.authorization or "").partition(" ")
        return kopf.ConnectionInfo(
            server=mine.server,
            insecure=not mine.verify,
            ca_path=mine.ca_path,
            certificate_path=mine.certificate_path,
            private_key_path=mine.key_path,
            scheme=scheme or None,
            token=token if space else None,
        )

    kopf.on.login(id="login", registry=registry)(login)
    for kind in (PIPELINE_KIND, *kinds):
        _register(registry, kind, observer)
    return registry


class _NoEssence(kopf.DiffBaseStorage):
    """No differences between versions of an object: no handler asks for them, and to copy each object costs a fifth."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        pass


def _register(registry: kopf.OperatorRegistry, kind: Kind, observer: Observer) -> None:
    def index(body: kopf.Body, **_: Any) -> None:
        observer.seen({**body, "apiVersion": kind.api_version, "kind": kind.kind})

    def event(event: kopf.RawEvent, **_: Any) -> None:
        observer.synced()
        if event["type"] == "DELETED":
            observer.gone({**event["object"], "apiVersion": kind.api_version, "kind": kind.kind})

    decorators: tuple[tuple[str, Callable[..., Any], Callable[..., None]], ...] = (
        ("index", kopf.index, index),
        ("event", kopf.on.event, event),
    )
    for name, decorate, function in decorators:

        async def handler(_function: Callable[..., None] = function, **arguments: Any) -> None:
            _function(**arguments)

        group = (kind.group,) if kind.group else ()
        decorate(*group, kind.version, kind.plural, id=f"{name}-{kind.plural}", registry=registry)(handler)


def kopf_settings(settings: OperatorSettings) -> kopf.OperatorSettings:
    """kopf's own settings, all of them in this place."""
    found = kopf.OperatorSettings()
    found.peering.standalone = True  # the Lease does it
    found.posting.enabled = False  # events are posted by the reconciler
    found.scanning.disabled = True  # it takes rights on CRDs and namespaces; the operator looks itself
    found.persistence.finalizer = f"{PREFIX}/kopf"  # never set; kopf takes its own away where it has no use for it
    found.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=PREFIX)
    found.persistence.diffbase_storage = _NoEssence()
    found.networking.request_timeout = settings.reconcile.request_timeout
    found.watching.chunk_size = 250
    found.watching.server_timeout = 300
    found.queueing.idle_timeout = 1.0
    found.queueing.exit_timeout = 0.5
    found.process.ultimate_exiting_timeout = 20
    managed = f"{MANAGED_BY}={FIELD_MANAGER}"
    unlabelled = {PIPELINE_KIND.plural, AUTOSCALER.plural}
    found.watching.label_selectors[lambda resource: resource.plural not in unlabelled] = managed
    return found
