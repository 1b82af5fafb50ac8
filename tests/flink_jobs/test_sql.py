"""Small pieces of SQL."""

from __future__ import annotations

from marketpipeline_job.sql import Script, View


def test_scripts_are_put_together_in_the_order_in_which_they_can_be_made() -> None:
    one = Script(tables=("t",), functions=("f",), views=(View("v", "q"),), inserts=("i",))
    both = one + Script(tables=("t", "u"), functions=("g",), inserts=("j",))
    assert both.text().split(";\n\n")[:5] == ["t", "u", "f", "g", "CREATE TEMPORARY VIEW v AS\nq"]
    assert both.text().endswith("BEGIN\ni;\nj;\nEND;\n")
