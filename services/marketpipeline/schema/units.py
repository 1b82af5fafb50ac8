"""Quantities that a spec writes as text: durations, CPU and memory, the latter two as Kubernetes writes them."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from marketpipeline.schema.text import NumberRules, TextRule, TextRules

__all__ = [
    "DURATION_PATTERN",
    "FOREVER",
    "KEPT_PATTERN",
    "Cpu",
    "Duration",
    "KeptFor",
    "Memory",
    "Schedule",
    "cpu_millis",
    "memory_bytes",
    "microseconds",
    "milliseconds",
    "quantity",
    "retention_milliseconds",
    "seconds",
]

_DURATION = r"[1-9]([0-9]{0,8}(ms|s)|[0-9]{0,7}m|[0-9]{0,5}h|[0-9]{0,4}d)"
DURATION_PATTERN = f"^{_DURATION}$"
Duration = Annotated[str, StringConstraints(pattern=DURATION_PATTERN, max_length=11)]
"""A length of time: a whole number and one of ms, s, m, h, d (`250ms`, `1m`, `7d`); at most 99999d, which every store
can subtract from now."""

FOREVER = "forever"
KEPT_PATTERN = f"^({FOREVER}|{_DURATION})$"
KeptFor = Annotated[str, StringConstraints(pattern=KEPT_PATTERN, max_length=11)]
"""How long something is kept: a duration, or `forever`."""


def _cron() -> str:
    """Five fields, each with lists, ranges and steps of its own numbers."""
    numbers = ("[1-5]?[0-9]", "(1?[0-9]|2[0-3])", "([1-9]|[12][0-9]|3[01])", "([1-9]|1[0-2])", "[0-7]")
    fields = []
    for number in numbers:
        part = rf"(\*|{number}(-{number})?)(/[1-9][0-9]?)?"
        fields.append(f"{part}(,{part})*")
    return f"^{' '.join(fields)}$"


def _never() -> str:
    """A day that no month of it has, and any weekday; one that a step hides is let past."""
    late, last, short = "3[01](-3[01])?", "31(-31)?", "(2(-2)?|4(-4)?|6(-6)?|9(-9)?|11(-11)?)"
    february = "2(-2)?"
    return rf"^[^ ]+ [^ ]+ ({late}(,{late})* {february}(,{february})*|{last}(,{last})* {short}(,{short})*) \*[^ ]*$"


def _ascending(schedule: str) -> str:
    for first, last in re.findall("([0-9]+)-([0-9]+)", schedule):
        if int(first) > int(last):
            raise ValueError(f"{first}-{last} descends; write the lower number first")
    return schedule


Schedule = Annotated[
    str,
    StringConstraints(max_length=100),
    TextRules(
        TextRule(_cron(), "must be cron's five fields in numbers: minute hour day month weekday, as in 0 3 * * 0"),
        TextRule(_never(), "never comes: none of its months has such a day; write one that there is", wrong=True),
    ),
    AfterValidator(_ascending),
]
"""When something is done, in cron's form; UTC where nothing else is said."""

_UNIT_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

_NUMBER = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)"
_SIZES = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_FACTORS = {"": Decimal(1), "m": Decimal("0.001")} | {unit: Decimal(factor) for unit, factor in _SIZES.items()}
_SIZE = "|".join(_SIZES)

Cpu = Annotated[
    str,
    StringConstraints(max_length=20),
    NumberRules(
        TextRule(f"({_SIZE})$", "is an amount of memory; write CPU cores: 500m, 0.5 or 2", wrong=True),
        TextRule(
            r"^([1-9][0-9]{0,3}(\.[0-9]{0,3})?|0?\.(00[1-9]|0[1-9][0-9]?|[1-9][0-9]{0,2})|[1-9][0-9]{0,6}m)$",
            "must be CPU cores, from 1m to 9999: 500m, 0.5 or 2",
        ),
        least=1,
        most=9_999,
    ),
]
"""CPU cores, or thousandths of one with `m`; a whole number may stand without quotes."""

Memory = Annotated[
    str,
    StringConstraints(max_length=20),
    NumberRules(
        TextRule("[0-9.]m$", "is in thousandths, as CPU is; write memory: 512Mi, 512M or 1e9", wrong=True),
        TextRule("^[0-9]{1,6}$", "is less than a megabyte; write its unit: 512Mi, 512M or 1e9", wrong=True),
        TextRule(
            r"^([1-9][0-9]{0,7}(\.[0-9]{0,9})?([MGT]i?|[eE]\+?([6-9]|1[0-3]))|0?\.[0-9]{0,9}[1-9][0-9]{0,9}[GT]i?"
            r"|[1-9][0-9]{3,11}(k|Ki)|[1-9][0-9]{6,14})$",
            "must be an amount of memory, at least a megabyte: 512Mi, 512M or 1e9",
        ),
        least=1_000_000,
        most=10**15 - 1,
    ),
]
"""Bytes, with a unit of thousands (`k`, `M`, `G`, `T`) or of 1,024 (`Ki`, `Mi`, `Gi`, `Ti`), or with an exponent."""


def milliseconds(duration: str) -> int:
    """A duration in milliseconds. Raises ValueError for anything that `DURATION_PATTERN` does not match."""
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(f"{duration!r} is not a duration; write a whole number and ms, s, m, h or d, e.g. 90s")
    digits = duration.rstrip("dhms")
    return int(digits) * _UNIT_MILLISECONDS[duration[len(digits) :]]


def microseconds(duration: str) -> int:
    """A duration in microseconds, the unit of every time in a record."""
    return milliseconds(duration) * 1_000


def seconds(duration: str) -> float:
    """A duration in seconds."""
    return milliseconds(duration) / 1_000


def retention_milliseconds(retention: str) -> int | None:
    """A retention in milliseconds, None for `forever`. Raises ValueError as `milliseconds` does."""
    return None if retention == FOREVER else milliseconds(retention)


def cpu_millis(cpu: str) -> int:
    """A `Cpu` in thousandths of a core."""
    return int((quantity(cpu) * 1_000).to_integral_value(ROUND_CEILING))


def memory_bytes(memory: str) -> int:
    """A `Memory` in bytes; a part of a byte counts as one."""
    return int(quantity(memory).to_integral_value(ROUND_CEILING))


def quantity(text: str) -> Decimal:
    """A quantity as Kubernetes writes it, e.g. `500m`, `1.5Gi` or `1e9`. Raises ValueError for anything else."""
    found = re.fullmatch(f"({_NUMBER}([eE][-+]?[0-9]{{1,2}})?)(m|{_SIZE})?", text)
    if found is None:
        raise ValueError(f"{text!r} is not a quantity; write one as Kubernetes has it, e.g. 500m or 512Mi")
    return Decimal(found[1]) * _FACTORS[found[5] or ""]
