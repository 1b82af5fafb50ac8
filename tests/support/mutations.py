"""Frames as a broken wire or a changed exchange might send them: each made from a real one, by a seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from random import Random

__all__ = ["MUTATIONS", "mutated"]

_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")
_FIELD = re.compile(rb'"([A-Za-z0-9_]+)":("[^"]*"|-?[0-9.]+|true|false|null)')
_HUGE = (b"1e400", b"9" * 400, b"-1", b"0", b"NaN", b"1e-400", b"18446744073709551616", b"0." + b"0" * 200 + b"1", b"")
_VALUES = (b"null", b"{}", b"[]", b'""', b"true", b'"\\ud800"', b"[[]]", b"-0", b"1e5", b'"\xf0\x9f\x98\x80"')


def _bits(frame: bytes, random: Random) -> bytes:
    """Some bits are flipped."""
    data = bytearray(frame)
    for _ in range(random.randint(1, 8)):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(data)


def _cut(frame: bytes, random: Random) -> bytes:
    """It ends early, or a part of it is missing."""
    start, end = sorted(random.randrange(len(frame) + 1) for _ in range(2))
    return frame[:start] if random.random() < 0.5 else frame[:start] + frame[end:]


def _swapped(frame: bytes, random: Random) -> bytes:
    """The values of two fields have changed places."""
    fields = [*_FIELD.finditer(frame)]
    if len(fields) < 2:
        return _cut(frame, random)
    one, other = sorted(random.sample(fields, 2), key=lambda field: field.start())
    parts = (frame[: one.start(2)], other[2], frame[one.end(2) : other.start(2)], one[2], frame[other.end(2) :])
    return b"".join(parts)


def _huge(frame: bytes, random: Random) -> bytes:
    """A number is absurd."""
    numbers = [*_NUMBER.finditer(frame)]
    if not numbers:
        return _bits(frame, random)
    found = random.choice(numbers)
    return frame[: found.start()] + random.choice(_HUGE) + frame[found.end() :]


def _other_type(frame: bytes, random: Random) -> bytes:
    """A value is of another type."""
    fields = [*_FIELD.finditer(frame)]
    if not fields:
        return _cut(frame, random)
    found = random.choice(fields)
    return frame[: found.start(2)] + random.choice(_VALUES) + frame[found.end(2) :]


def _nested(frame: bytes, random: Random) -> bytes:
    """Something deep stands where a value was, or around all of it."""
    depth = random.choice((10, 500, 5_000))
    opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
    deep = opening * depth + b"1" + closing * depth
    fields = [*_FIELD.finditer(frame)]
    if not fields or random.random() < 0.2:
        return opening * depth + frame + closing * depth
    found = random.choice(fields)
    return frame[: found.start(2)] + deep + frame[found.end(2) :]


MUTATIONS: Sequence[Callable[[bytes, Random], bytes]] = (_bits, _cut, _swapped, _huge, _other_type, _nested)


def mutated(frames: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """So many frames, each a real one that one mutation was done to, or now and then two."""
    random = Random(seed)
    for _ in range(count):
        frame = random.choice(MUTATIONS)(random.choice(frames), random)
        if frame and random.random() < 0.1:
            frame = random.choice(MUTATIONS)(frame, random)
        yield frame
