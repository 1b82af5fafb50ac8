"""Finding the entries of a registry: the exchanges, sinks and alerts of this release, and those that a plugin adds.

An entry of this release is a module or subpackage of the registry's own package that holds one constant. A plugin is
any installed distribution that declares an entry point in the group of that name; nothing here is edited for it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from marketpipeline.errors import PermanentError

__all__ = ["Named", "discover", "resolve"]


class Named(Protocol):
    """What every entry has: the name that it is known by in a spec."""

    @property
    def name(self) -> str:
        """Unique in its registry."""


T = TypeVar("T", bound=Named)


def discover(package: str, constant: str, kind: type[T]) -> Mapping[str, T]:
    """The entries by name, sorted: `constant` of each module in `package`, then those of the entry points of its name.

    Raises PermanentError for a plugin that does not load, that is not a `kind`, or whose name is taken.
    """
    found: dict[str, T] = {}
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        entry = getattr(importlib.import_module(f"{package}.{module.name}"), constant, None)
        if isinstance(entry, kind):
            found[entry.name] = entry
    for plugin in entry_points(group=package):
        try:
            entry = plugin.load()
        except Exception as error:
            raise PermanentError(f"plugin {plugin.value} of {package} does not load: {error}") from error
        if not isinstance(entry, kind):
            raise PermanentError(
                f"plugin {plugin.value} of {package} is a {type(entry).__name__}, not a {kind.__name__}"
            )
        if entry.name in found:
            raise PermanentError(f"plugin {plugin.value} of {package}: the name {entry.name} is taken")
        found[entry.name] = entry
    return MappingProxyType(dict(sorted(found.items())))


def resolve(target: str) -> Any:
    """What `module:name` names, imported now: an entry names what needs a library of its own, and does not import it.

    Raises ModuleNotFoundError where that library is not installed, PermanentError where the module has no such name.
    """
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise PermanentError(f"{target}: the module has no {name}") from error
