"""Background tasks: work outside of the API server, such as asking the broker or Flink. A pass starts one and never
waits for it, so a broker that does not answer delays only what needs its answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from marketpipeline.backoff import Backoff
from marketpipeline.errors import MarketPipelineError, RetryableError

__all__ = ["BackgroundTask"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


class BackgroundTask(Generic[T]):
    """One kind of work for one pipeline, at most once at a time.

    `mark` says of what: a result or an error holds only for the mark that it was asked with. `wake` is called when
    there is news, which the same answer once more is not, and when it is time to try again.
    """

    def __init__(self, name: str, wake: Callable[[], None], *, initial: float, longest: float) -> None:
        self._name = name
        self._wake = wake
        self._backoff = Backoff(initial, longest, jitter=(0.8, 1.2))
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._result: tuple[str, T] | None = None
        self._error: tuple[str, MarketPipelineError] | None = None
        self._at = 0.0
        self._retry_at = 0.0

    def ask(self, mark: str, work: Callable[[], Awaitable[T]], *, max_age: float = float("inf")) -> None:
        """Start `work` unless it runs, or its last result is of this mark and not older than `max_age` seconds."""
        now = time.monotonic()
        if self._task is not None and not self._task.done():
            return
        if self._error is not None and self._error[0] == mark:
            if now < self._retry_at:
                return
        elif self._result is not None and self._result[0] == mark and now - self._at < max_age:
            return
        self._task = asyncio.create_task(self._run(mark, work), name=self._name)

    def result(self, mark: str) -> T | None:
        """The last result, if it was of this mark."""
        return self._result[1] if self._result is not None and self._result[0] == mark else None

    def error(self, mark: str) -> MarketPipelineError | None:
        """Why the last attempt failed, if it was of this mark and nothing came after it."""
        return self._error[1] if self._error is not None and self._error[0] == mark else None

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self._task is not None and not self._task.done()

    def forget(self) -> None:
        """Make the next `ask` start again."""
        self._result = self._error = None
        self._backoff.reset()

    def close(self) -> None:
        """Stop it; nobody is woken any more."""
        for pending in (self._task, self._timer):
            if pending is not None:
                pending.cancel()

    async def _run(self, mark: str, work: Callable[[], Awaitable[T]]) -> None:
        try:
            result = await work()
        except MarketPipelineError as error:
            self._fail(mark, error)
        except Exception as error:  # noqa: BLE001 - a defect here must show in the status, and be tried again
            _log.exception("background task failed", extra={"task": self._name})
            self._fail(mark, RetryableError(f"{self._name}: {type(error).__name__}: {error}"))
        else:
            news = self._error is not None or self._result != (mark, result)
            self._result, self._error = (mark, result), None
            self._at = time.monotonic()
            self._backoff.reset()
            self._task = None
            if not news:
                return
        self._task = None
        self._wake()

    def _fail(self, mark: str, error: MarketPipelineError) -> None:
        delay = self._backoff.next()
        if isinstance(error, RetryableError) and error.retry_after is not None:
            delay = error.retry_after
        self._error, self._retry_at = (mark, error), time.monotonic() + delay
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay + 0.01, self._wake)
