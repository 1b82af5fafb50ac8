"""Small pieces of SQL."""

from __future__ import annotations

import pytest
from marketpipeline_job.sql import Script, View, literal


@pytest.mark.parametrize(("number", "text"), [(2, "2.0e0"), (0.5, "0.5e0"), (1e-9, "1e-09"), (1e300, "1e+300")])
def test_a_literal_is_a_double(number: float, text: str) -> None:
    assert literal(number) == text


def test_scripts_are_put_together_in_the_order_in_which_they_can_be_made() -> None:
    one = Script(tables=("t",), functions=("f",), views=(View("v", "q"),), inserts=("i",))
    both = one + Script(tables=("t", "u"), functions=("g",), inserts=("j",))
    assert both.text().split(";\n\n")[:5] == ["t", "u", "f", "g", "CREATE TEMPORARY VIEW v AS\nq"]
    assert both.text().endswith("BEGIN\ni;\nj;\nEND;\n")
