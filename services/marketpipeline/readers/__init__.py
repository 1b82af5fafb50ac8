"""Asking the stores: the interface that each of them answers by, which of them is asked first, and what can be asked.

`redis` and `timescale` are readers, one module for each kind of store, which does its I/O and translates its errors.
They are imported when a store of their kind is there to be read: who has none need not have its library.
"""

from __future__ import annotations

from marketpipeline.readers.blocking import Blocking, blocking
from marketpipeline.readers.counting import DayHeld, days_held
from marketpipeline.readers.making import readers_of
from marketpipeline.readers.questions import HistoryQuery, Span
from marketpipeline.readers.reading import (
    Answer,
    Count,
    KeptBack,
    NewestRecords,
    NotKept,
    Reader,
    Readers,
    StoreHealth,
    TierState,
)

__all__ = [
    "Answer",
    "Blocking",
    "Count",
    "DayHeld",
    "HistoryQuery",
    "KeptBack",
    "NewestRecords",
    "NotKept",
    "Reader",
    "Readers",
    "Span",
    "StoreHealth",
    "TierState",
    "blocking",
    "days_held",
    "readers_of",
]
