"""What an error of PostgreSQL or TimescaleDB means for who asked: the one table of its codes. Pure.

A code (SQLSTATE) is five characters, of which the first two are its class. A code that is not listed counts as its
class, a class that is not listed as RECONNECT: what is not known may pass, and nothing is lost by trying again.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType

__all__ = ["Verdict", "verdict"]


class Verdict(Enum):
    """What to do next."""

    AGAIN = "the server was busy or short of something: the same later, over the same connection"
    RECONNECT = "this connection, or the server at its other end, will not do it: the same later, over a new one"
    SMALLER = "too much at once: in smaller parts, and a single row that is still too much is refused"
    ROW = "one of the rows is refused, whenever it is offered"
    NEVER = "the same will never succeed: rights, names or the schema are wrong"


_CLASSES = {
    "08": Verdict.RECONNECT,  # connection exception
    "0A": Verdict.NEVER,  # feature not supported
    "21": Verdict.ROW,  # cardinality violation
    "22": Verdict.ROW,  # data exception
    "23": Verdict.ROW,  # integrity constraint violation
    "25": Verdict.RECONNECT,  # invalid transaction state; 25006: the server became a standby
    "26": Verdict.RECONNECT,  # invalid SQL statement name: a prepared statement is on another server connection
    "28": Verdict.NEVER,  # invalid authorization specification
    "34": Verdict.RECONNECT,  # invalid cursor name, for the same reason
    "3D": Verdict.NEVER,  # invalid catalog name
    "3F": Verdict.NEVER,  # invalid schema name
    "40": Verdict.AGAIN,  # transaction rollback: serialization failure, deadlock
    "42": Verdict.NEVER,  # syntax error or access rule violation
    "44": Verdict.ROW,  # WITH CHECK OPTION violation
    "53": Verdict.AGAIN,  # insufficient resources: disk full, out of memory, too many connections
    "54": Verdict.SMALLER,  # program limit exceeded
    "55": Verdict.AGAIN,  # object not in prerequisite state, in use, lock not available
    "57": Verdict.RECONNECT,  # operator intervention: shutdown, crash, starting up
    "58": Verdict.RECONNECT,  # system error
    "P0": Verdict.ROW,  # PL/pgSQL: a trigger that the user has put there refuses the row
    "XX": Verdict.RECONNECT,  # internal error
}
_CODES = {
    "53400": Verdict.SMALLER,  # configuration limit exceeded: TimescaleDB would have to decompress too much
    "57014": Verdict.AGAIN,  # query canceled: it took longer than statement_timeout
}
_BY_CODE = MappingProxyType(_CLASSES | _CODES)


def verdict(sqlstate: str) -> Verdict:
    """What an error with this code means."""
    return _BY_CODE.get(sqlstate) or _BY_CODE.get(sqlstate[:2], Verdict.RECONNECT)
