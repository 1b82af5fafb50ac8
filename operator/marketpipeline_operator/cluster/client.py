"""The API server: every request that the operator makes by itself, through the `kubernetes` client's connection.

Objects are plain JSON, since the operator works with kinds that the client has no model of. The client blocks, so each
request runs in a thread of a small pool; the event loop never waits for the network.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import urllib3
from kubernetes import client as kube
from kubernetes import config as kube_config
from marketpipeline.errors import PermanentError

from marketpipeline_operator.cluster.errors import Unavailable, error_of
from marketpipeline_operator.cluster.kinds import POD, Kind, kind_of
from marketpipeline_operator.names import FIELD_MANAGER, Object

__all__ = ["Credentials", "Kubernetes"]

_PAGE = 250
_VERBS = {"GET": "read", "POST": "create", "PUT": "replace", "PATCH": "write", "DELETE": "delete"}
_APPLY, _MERGE = "application/apply-patch+yaml", "application/merge-patch+json"


@dataclass(frozen=True)
class Credentials:
    """How to reach the API server, for another client of it."""

    server: str
    verify: bool
    ca_path: str | None
    certificate_path: str | None
    key_path: str | None
    authorization: str | None


class Kubernetes:
    """A connection to the API server. All methods raise the errors of `cluster.errors`.

    `requests` counts requests by (verb, plural, status), `seconds` sums their time. What holds a lease sets
    `writes_until`, by the monotonic clock: from then on nothing is written, and no write is still on its way.
    """

    def __init__(self, api: kube.ApiClient, *, timeout: float = 30, threads: int = 16) -> None:
        self._api = api
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(threads, "kubernetes")
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.seconds = 0.0
        self.writes_until = math.inf

    @classmethod
    def connect(
        cls, *, timeout: float = 30, threads: int = 16, kubeconfig: str | None = None, context: str | None = None
    ) -> Self:
        """With the Pod's own account inside of a cluster, else with the kubeconfig. Raises PermanentError."""
        configuration = kube.Configuration()
        # The library takes a config_file of None for one that must exist, and then never looks for the Pod's account.
        given = {"config_file": kubeconfig} if kubeconfig else {}
        given |= {"context": context} if context else {}
        try:
            kube_config.load_config(client_configuration=configuration, **given)  # type: ignore[no-untyped-call]  # the client has no types
        except kube_config.ConfigException as error:
            raise PermanentError(f"no way to an API server: {error}") from error
        configuration.connection_pool_maxsize = threads
        return cls(kube.ApiClient(configuration), timeout=timeout, threads=threads)

    async def apply(self, thing: Object, *, force: bool, subresource: str | None = None) -> Object:
        """Server-side apply with our field manager; gives the object as it is then. Creates it where it is absent."""
        metadata, kind = thing["metadata"], kind_of(thing)
        query = {"fieldManager": FIELD_MANAGER, "force": str(force).lower()}
        path = kind.path(metadata.get("namespace"), metadata["name"], subresource, **query)
        return await self._call("PATCH", kind, path, thing, _APPLY)

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Object, *, subresource: str = "") -> Object:
        """JSON merge patch; with a resourceVersion in it, only of exactly that version."""
        return await self._call("PATCH", kind, kind.path(namespace, name, subresource), patch, _MERGE)

    async def create(self, kind: Kind, namespace: str, thing: Object, *, manager: str = FIELD_MANAGER) -> Object:
        """Create; Conflict where it exists."""
        return await self._call("POST", kind, kind.path(namespace, fieldManager=manager), thing)

    async def replace(self, kind: Kind, namespace: str, name: str, thing: Object) -> Object:
        """Put, of exactly the resourceVersion that `thing` has."""
        return await self._call("PUT", kind, kind.path(namespace, name, fieldManager=FIELD_MANAGER), thing)

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """An object, or None where it is absent."""
        return await self._call("GET", kind, kind.path(namespace, name), missing=True) or None

    async def list(self, kind: Kind, namespace: str | None, selector: str | None = None) -> AsyncIterator[Object]:
        """All objects of a kind, page by page; nothing where the cluster does not serve it."""
        more = None
        while True:
            path = kind.path(namespace, labelSelector=selector, limit=_PAGE, **{"continue": more})
            page = await self._call("GET", kind, path, missing=True)
            for item in page.get("items") or []:
                yield item | {"apiVersion": kind.api_version, "kind": kind.kind}
            more = page.get("metadata", {}).get("continue")
            if not more:
                return

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete, and what it owns after it; nothing where it is absent or another `uid` has its name."""
        options: Object = {"propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        await self._call("DELETE", kind, kind.path(namespace, name), options, missing=True)

    def lines(self, namespace: str, pod: str, **options: object) -> Iterator[str]:
        """The log of a Pod, line by line as it comes; `options` are the API's (tailLines, follow, previous, …).

        Blocks, and waits without limit for the next line where `follow` is true.
        """
        path = POD.path(namespace, pod, "log", **options)
        answer = self._send("GET", path, None, "application/json", stream=True)
        try:
            if answer.status != 200:
                raise error_of(answer.status, answer.read(), f"read the log of Pod {pod}")
            rest = b""
            for chunk in answer.stream():
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
            if rest:
                yield rest.decode(errors="replace")
        finally:
            answer.close()

    async def read(self, path: str) -> Object:
        """A document that is not an object, e.g. the list of what a group serves; empty where it is absent."""
        return await self._call("GET", None, path, missing=True)

    def credentials(self) -> Credentials:
        """Address and credentials as they are now; a token of a Pod is renewed every hour."""
        found = self._api.configuration
        return Credentials(
            server=found.host,
            verify=found.verify_ssl,
            ca_path=found.ssl_ca_cert,
            certificate_path=found.cert_file,
            key_path=found.key_file,
            authorization=found.get_api_key_with_prefix("authorization", alias="BearerToken"),
        )

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call(
        self,
        verb: str,
        kind: Kind | None,
        path: str,
        body: Object | None = None,
        content_type: str = "application/json",
        *,
        missing: bool = False,
    ) -> Object:
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        status, data, retry_after = await loop.run_in_executor(
            self._threads, self._request, verb, path, body, content_type
        )
        self.seconds += time.monotonic() - began
        self.requests[verb, kind.plural if kind else "", status] += 1
        if 200 <= status < 300:
            answer: Object = msgspec.json.decode(data)
            return answer
        if missing and status == 404:
            return {}
        name = path.partition("?")[0].rpartition("/")[2]
        what = f"{_VERBS[verb]} {kind.kind} {name} ({kind.api_version})" if kind else f"{verb} {path}"
        raise error_of(status, data, what, retry_after)

    def _limit(self, verb: str, what: str) -> float:
        """How long a request may take."""
        if verb == "GET":
            return self._timeout
        left = self.writes_until - time.monotonic()
        if left <= 0:
            raise Unavailable(f"{what}: not sent, this operator does not hold its lease any more")
        return min(self._timeout, left)

    def _request(self, verb: str, path: str, body: Object | None, content_type: str) -> tuple[int, bytes, str | None]:
        answer = self._send(verb, path, body, content_type)
        return answer.status, answer.data, answer.headers.get("Retry-After")

    def _send(
        self, verb: str, path: str, body: Object | None, content_type: str, *, stream: bool = False
    ) -> urllib3.BaseHTTPResponse:
        """The answer, whole or as a `stream` that may take as long as it likes."""
        configuration = self._api.configuration
        headers = {"Accept": "application/json", "Content-Type": content_type}
        if token := configuration.get_api_key_with_prefix("authorization", alias="BearerToken"):
            headers["Authorization"] = token
        # Bytes are sent as they are; the client would make other things of some content types.
        data: Any = msgspec.json.encode(body) if body is not None else None
        what = f"{verb} {path.partition('?')[0]}"
        try:
            pool: urllib3.PoolManager = self._api.rest_client.pool_manager
            limit = urllib3.Timeout(connect=self._timeout) if stream else urllib3.Timeout(total=self._limit(verb, what))
            url = configuration.host + path
            return pool.request(
                verb, url, body=data, headers=headers, timeout=limit, retries=False, preload_content=not stream
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"{what}: {type(error).__name__}: {error}") from error
