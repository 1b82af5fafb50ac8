"""Rules for texts that the API server has too: patterns that mean the same to Python and to RE2, with their words.

A rule is an annotation of a type. `validate` checks it here; the CustomResourceDefinition gets the same pattern and the
same words from it, so that both refuse the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

__all__ = ["ADDRESSES", "PORT", "NumberRules", "TextRule", "TextRules", "Url"]

PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
"""A TCP port: 1 to 65535."""

_HOST = r"([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])"
_HOSTS = f"{_HOST}(:{PORT})?(,{_HOST}(:{PORT})?)*"
ADDRESSES = f"^{_HOST}:{PORT}(,{_HOST}:{PORT})*$"
"""host:port, several with commas between them."""


@dataclass(frozen=True, slots=True)
class TextRule:
    """The text must match `pattern` somewhere, or with `wrong` must not; else it is refused with `message`."""

    pattern: str
    message: str
    wrong: bool = False

    def holds(self, text: str) -> bool:
        """Whether the text is right."""
        return (re.search(self.pattern, text, re.ASCII) is None) is self.wrong


class TextRules:
    """An annotation: all of these hold, and the first that does not is told."""

    def __init__(self, *rules: TextRule) -> None:
        self.rules = rules

    def check(self, text: str) -> str:
        """The text as it is. Raises ValueError."""
        for rule in self.rules:
            if not rule.holds(text):
                raise ValueError(rule.message)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))


class NumberRules(TextRules):
    """An annotation of a number that may have a unit: a text by the rules, or a whole number from `least` to `most`.

    The last rule is the whole form; the API server has only that one, since a rule in words about what may be text or
    number costs it more than it allows.
    """

    def __init__(self, *rules: TextRule, least: int, most: int) -> None:
        super().__init__(*rules)
        self.least, self.most = least, most

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        checked = super().__get_pydantic_core_schema__(source, handler)
        return core_schema.no_info_before_validator_function(_digits, checked)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = {key: value for key, value in handler(schema).items() if key != "type"}
        bounds = {"minimum": self.least, "maximum": self.most}
        return found | bounds | {"x-kubernetes-int-or-string": True, "pattern": self.rules[-1].pattern}


class Url(TextRules):
    """An annotation: the text is a URL of one of these schemes with a host, and holds no password.

    `path` is the pattern of what may follow the host, without the query. Several hosts may stand with commas between
    them; `host=False` is for schemes without one.
    """

    def __init__(self, *schemes: str, path: str = r"(/[^\s?#]*)?", host: bool = True, shape: str = "") -> None:
        place = f"([^\\s/?#@:]+@)?{_HOSTS}" if host else ""
        form = shape or f"{schemes[0]}://{'host[:port]' if host else ''}/path"
        super().__init__(*self._rules(schemes, f"{place}{path}", form))
        self.schemes = schemes

    @staticmethod
    def _rules(schemes: tuple[str, ...], rest: str, form: str) -> Iterator[TextRule]:
        starts = f"^({'|'.join(schemes)})://"
        yield TextRule(starts, f"must be a URL that starts with {':// or '.join(schemes)}://")
        secret = r"^[a-z]+://[^?#]*:[^?#]*@|[?&](password|passfile|sslpassword)="
        instead = "must not contain a password; put it in a Secret and name that in passwordSecret"
        yield TextRule(secret, instead, wrong=True)
        yield TextRule(f"{starts}{rest}(\\?[^\\s#]*)?$", f"must have the form {form}, with a port from 1 to 65535")


def _digits(value: Any) -> Any:
    """A whole number as its digits; anything else as it is. The API server takes no other number for a quantity."""
    if isinstance(value, float):
        raise ValueError(f"must stand in quotes: '{value:g}'")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
