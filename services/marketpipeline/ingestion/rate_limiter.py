"""When a REST request may be sent, and what its answer means: weights, bans, retries. It sends nothing itself.

Each caller has at most one request under way, so the queue is bounded by the number of handlers.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from marketpipeline.backoff import Backoff
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.ingestion.context import Get
from marketpipeline.ingestion.pacing import Window
from marketpipeline.venues.adapter import ExchangeAdapter, RestRequest, Throttled
from marketpipeline.venues.messages import FrameError

__all__ = ["RateLimiter"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

CONCURRENT = 4
TRIES = 20
WAIT_INITIAL, WAIT_MAXIMUM = 0.25, 15.0  # 20 tries take some 3 minutes
THROTTLED_WAIT = 10.0
SHARE = 0.9
"""Of the exchange's budget: the rest is for others on the same address."""


@dataclass(slots=True)
class _Call:
    request: RestRequest[Any]
    done: Callable[[Any], None]
    refused: Callable[[PermanentError], None]
    backoff: Backoff
    patient: bool
    not_before: float = 0.0
    number: int = field(default=0)


class RateLimiter:
    """Sends requests by `emit` as the limits allow. `dead_letter` keeps a body that could not be read, `keep` each that
    is an answer."""

    def __init__(
        self,
        adapter: ExchangeAdapter,
        emit: Callable[[Get], None],
        dead_letter: Callable[[bytes, FrameError, str], None],
        random: Random,
    ) -> None:
        self._adapter = adapter
        self._emit = emit
        self._dead_letter = dead_letter
        self._random = random
        self._waiting: deque[_Call] = deque()
        self._under_way: dict[int, _Call] = {}
        rest = adapter.limits.rest
        self._weights = Window(int(rest.count * SHARE), rest.seconds)
        self._blocked_until = 0.0
        self._number = 0
        self._now = 0.0
        self.keep: Callable[[RestRequest[Any], bytes, int], None] = lambda request, body, receive_time: None
        self.trip = (0, 0)
        """When the request was sent whose answer is being handed on, and when that came; µs."""
        self.paused = False
        self.requests = 0
        self.throttled = 0
        self.failures = 0

    @property
    def weight_used(self) -> int:
        """Weight spent in the last minute."""
        return self._weights.used

    def ask(
        self,
        request: RestRequest[T],
        done: Callable[[T], None],
        refused: Callable[[PermanentError], None],
        *,
        patient: bool = False,
    ) -> None:
        """Queue a request; it goes out at once when nothing stands against it. A patient one lets all others pass."""
        backoff = Backoff(WAIT_INITIAL, WAIT_MAXIMUM, random=self._random)
        self._waiting.append(_Call(request, done, refused, backoff, patient))
        self._send()

    def tick(self, now: float) -> None:
        """Time has passed: send what may go."""
        self._now = now
        self._send()

    def answered(
        self,
        number: int,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        now: float,
        receive_time: int,
        sent_time: int | None = None,
    ) -> None:
        """An answer came: hand its value on, or wait and try again, or give up."""
        self._now = now
        call = self._under_way.pop(number, None)
        if call is None:
            return
        self.trip = (receive_time if sent_time is None else sent_time, receive_time)
        used = self._adapter.used_weight(headers)
        if used is not None:
            self._weights.correct(now, used)
        try:
            self._adapter.judge(status, headers, body)
            self.keep(call.request, body, receive_time)
            value = call.request.read(body, receive_time)
        except Throttled as error:
            self._block(call, error)
        except RetryableError as error:
            self._retry(call, str(error), error.retry_after)
        except FrameError as error:
            self._dead_letter(body, error, call.request.path)
            self._retry(call, str(error), None)
        except PermanentError as error:
            self._refuse(call, error)
        else:
            call.done(value)
        self._send()

    def failed(self, number: int, reason: str, now: float) -> None:
        """No answer came."""
        self._now = now
        call = self._under_way.pop(number, None)
        if call is not None:
            self._retry(call, reason, None)

    def _send(self) -> None:
        if self.paused or self._now < self._blocked_until:
            return
        others = any(not call.patient for call in self._waiting)
        for _ in range(len(self._waiting)):
            if len(self._under_way) >= CONCURRENT:
                return
            call = self._waiting.popleft()
            waits = call.not_before > self._now or (call.patient and others)
            if waits or not self._weights.take(self._now, call.request.weight):
                self._waiting.append(call)
                continue
            self._number += 1
            self.requests += 1
            self._under_way[self._number] = call
            self._emit(Get(self._number, call.request))

    def _block(self, call: _Call, error: Throttled) -> None:
        wait = error.retry_after if error.retry_after is not None else THROTTLED_WAIT
        self.throttled += 1
        self._blocked_until = max(self._blocked_until, self._now + wait)
        self._waiting.appendleft(call)
        _log.warning("the exchange wants fewer requests: %s", error, extra={"wait_seconds": wait})

    def _retry(self, call: _Call, reason: str, wait: float | None) -> None:
        self.failures += 1
        if call.backoff.attempt + 1 >= TRIES:
            self._refuse(call, PermanentError(f"{reason} (tried {TRIES} times)"))
            return
        delay = call.backoff.next()
        call.not_before = self._now + max(delay, wait or 0.0)
        self._waiting.append(call)
        _log.warning("request of %s failed: %s", call.request.path, reason, extra={"wait_seconds": delay})

    def _refuse(self, call: _Call, error: PermanentError) -> None:
        _log.error("request of %s refused: %s", call.request.path, error, extra=dict(call.request.params))
        call.refused(error)
