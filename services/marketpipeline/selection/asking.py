"""Asking exchanges what they list, once in a while and by whoever plans: by the standard library, in a thread."""

from __future__ import annotations

import gzip
import math
import ssl
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import TypeVar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

from marketpipeline import __version__
from marketpipeline.errors import MarketPipelineError, PermanentError, RetryableError
from marketpipeline.selection.choosing import Listed, Listing
from marketpipeline.settings.local import proxy_for
from marketpipeline.spec import MarketPipeline
from marketpipeline.spec.selectors import Selector
from marketpipeline.venues import split_symbol, venues
from marketpipeline.venues.adapter import ExchangeAdapter, RestRequest, load_adapter
from marketpipeline.venues.messages import FrameError

__all__ = ["ask", "ask_all", "rest_url"]

T = TypeVar("T")

SECONDS = 15.0
_LARGEST = 64 << 20
"""Bytes of an answer that are read; a whole listing is some megabytes."""


def ask(exchange: str, rest_url: str, selectors: Sequence[Selector] = ()) -> Listing:
    """Everything that an exchange lists, of the form that symbols of it have. Blocks.

    `selectors` are those that are to choose from it; of other exchanges they do not count. Raises RetryableError where
    it does not answer, lists nothing, or tells no volumes that one of them has to rank by; PermanentError where it
    never tells any.
    """
    adapter, venue = load_adapter(exchange), venues()[exchange]
    ranked = [selector for selector in selectors if selector.exchange == exchange and selector.market]
    if ranked and not adapter.volumes():
        texts = ", ".join(selector.text for selector in ranked)
        raise PermanentError(f"{texts}: {exchange} tells no volumes to rank by; name symbols, or a form of name")
    opener = _opener(rest_url)
    instruments = _all(adapter.instruments(None), opener, rest_url, adapter)
    if not instruments:
        raise RetryableError(f"{exchange} ({rest_url}) lists nothing")
    volumes = _all(adapter.volumes(), opener, rest_url, adapter)
    listing = {
        symbol: Listed(instrument.market, instrument.trading, _finite(volumes.get(symbol, 0.0)))
        for symbol, instrument in instruments.items()
        if venue.accepts(split_symbol(symbol)[1])
    }
    if not any(listed.volume for listed in listing.values()):
        markets = Counter(listed.market for listed in listing.values())
        if unknown := [selector.text for selector in ranked if markets[selector.market] > selector.count]:
            raise RetryableError(f"{exchange} ({rest_url}) tells no volumes to rank {', '.join(unknown)} by")
    return listing


def ask_all(
    pipeline: MarketPipeline, url_of: Callable[[str], str] | None = None
) -> tuple[dict[str, Listing], dict[str, str]]:
    """The listings of the exchanges that a pipeline's selectors name, and by exchange why one could not be had.

    `url_of` gives the REST endpoint of an exchange; that of the spec without it.
    """
    listings: dict[str, Listing] = {}
    failed: dict[str, str] = {}
    selectors = pipeline.spec.selectors
    for exchange in dict.fromkeys(selector.exchange for selector in selectors):
        try:
            listings[exchange] = ask(exchange, url_of(exchange) if url_of else rest_url(pipeline, exchange), selectors)
        except MarketPipelineError as error:
            failed[exchange] = str(error)
    return listings, failed


def rest_url(pipeline: MarketPipeline, exchange: str) -> str:
    """Where a pipeline asks an exchange."""
    return pipeline.spec.ingestion.rest_urls.get(exchange, venues()[exchange].rest_url)


def _opener(url: str) -> OpenerDirector:
    """With the environment's proxy, and the certificates of SSL_CERT_FILE where that is set."""
    proxy = proxy_for(url)
    if proxy is not None and proxy.startswith("socks"):
        raise RetryableError(f"{url}: listings are not asked for through a SOCKS proxy; name an HTTP proxy")
    proxies = {} if proxy is None else {"http": proxy, "https": proxy}
    return build_opener(ProxyHandler(proxies), HTTPSHandler(context=ssl.create_default_context()))


def _all(
    requests: Sequence[RestRequest[Mapping[str, T]]], opener: OpenerDirector, base: str, adapter: ExchangeAdapter
) -> dict[str, T]:
    found: dict[str, T] = {}
    for request in requests:
        found |= _get(request, opener, base, adapter)
    return found


def _get(request: RestRequest[T], opener: OpenerDirector, base: str, adapter: ExchangeAdapter) -> T:
    url = f"{base.rstrip('/')}{request.path}?{urlencode(request.params)}"
    headers = {"User-Agent": f"marketpipeline/{__version__}", "Accept-Encoding": "gzip", **dict(request.headers)}
    try:
        try:
            answer = opener.open(Request(url, headers=headers), timeout=SECONDS)
        except HTTPError as error:
            answer = error
        with answer:
            status, found, body = answer.status, answer.headers, answer.read(_LARGEST)
    except (OSError, HTTPException, ValueError) as error:
        raise RetryableError(f"{base} is not reached: {getattr(error, 'reason', None) or error}") from error
    said: Mapping[str, str] = {name.lower(): value for name, value in found.items()}
    try:
        body = gzip.decompress(body) if said.get("content-encoding") == "gzip" else body
        adapter.judge(status, said, body)
        return request.read(body, time.time_ns() // 1000)
    except (OSError, EOFError, zlib.error, FrameError) as error:
        raise RetryableError(f"{base}{request.path}: the answer cannot be read: {error}") from error


def _finite(volume: float) -> float:
    return volume if math.isfinite(volume) else 0.0
