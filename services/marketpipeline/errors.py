"""The error hierarchy of the project.

    MarketPipelineError
    ├── InvalidInput          what a user wrote is wrong: names the field, the value and what would be right
    │   ├── InvalidSpec       a MarketPipeline (YAML or object)
    │   ├── InvalidCapture    a recording that is truncated, empty or not gzip
    │   └── InvalidQuery      a query's symbol, interval, time or limit
    ├── RetryableError        the same call may succeed later (a broker away, a 429); says how long to wait
    └── PermanentError        the same call will never succeed
        └── Refused           by what the spec says of the other side: names the field, the value and the remedy

Third-party exceptions are translated into these at the module that does the I/O, so that callers choose
by type whether to wait or to give up. A command of the command line prints `str(error)` and exits with 2
for `InvalidInput`, with 1 for the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = [
    "InvalidCapture",
    "InvalidInput",
    "InvalidQuery",
    "InvalidSpec",
    "MarketPipelineError",
    "PermanentError",
    "Problem",
    "Refused",
    "RetryableError",
    "without_passwords",
]


_PASSWORD = re.compile(
    r"(?<=://)(?P<user>[^\s'\":/@]*:)(?![0-9]{1,5}[/?,])"  # a URL's; not a port
    r"(?:(?:(?!['\"],['\"])\S)+|\S+)(?=@)"  # up to its last @, quotes too; where it can be, not into a list's next
    r"|(?<![\w\"':/.%+-])(?P<name>[\w.%+-]+:)[^\s'\":/@{}]+(?=@[\w.-]+:[0-9])"  # user:password@host:port
    r"|(?P<field>(?:password|passfile)=)"
    r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^&\s'\"]+(?:['\"]+(?=\w)[^&\s'\"]+)*)",
    re.ASCII,
)


def without_passwords(text: str) -> str:
    """The text with `***` for the passwords in URLs, `user:password@host:port` and `password=…`."""
    return _PASSWORD.sub(lambda found: "".join(part or "" for part in found.groups()) + "***", text)


class MarketPipelineError(Exception):
    """Base of everything that this project raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in an input.

    `field` is a path as the user wrote it (`spec.depth.calculate`), `value` what stands there (shown by
    `repr`, shortened, without the passwords of URLs), `expected` what would be right; `line` and `column` count from 1.
    """

    field: str
    value: object
    expected: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        shown = without_passwords(repr(self.value))
        if len(shown) > 80:
            shown = shown[:77] + "..."
        where = "" if self.line is None else f" (line {self.line}, column {self.column})"
        return f"{self.field}: {shown}{where}: {self.expected}"


class InvalidInput(MarketPipelineError):
    """What a user gave is wrong; `problems` holds every finding, never only the first."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        super().__init__("\n".join([f"{source}:"] + [f"  {problem}" for problem in problems]))


class InvalidSpec(InvalidInput):
    """A MarketPipeline that cannot be accepted."""


class InvalidCapture(InvalidInput):
    """A capture file that cannot be replayed."""


class InvalidQuery(InvalidInput):
    """A query whose symbol, interval, time or limit is wrong."""


class RetryableError(MarketPipelineError):
    """The same call may succeed later.

    `retry_after` is the wait in seconds that the other side asked for, or None to let the caller's own
    backoff decide.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(MarketPipelineError):
    """The same call will never succeed: a wrong password, a table of another shape, a topic that cannot be made."""


class Refused(PermanentError):
    """The other side refuses what the spec says of it.

    `field` is the spec's (`spec.sinks.redis.url`), `value` what is wrong in it, of a Secret whose it is; `said` is the
    other side's own words.
    """

    def __init__(self, field: str, value: str, remedy: str, said: object) -> None:
        self.field = field
        super().__init__(without_passwords(f"{field}: {value}: {remedy} ({' '.join(str(said).split())})"))
