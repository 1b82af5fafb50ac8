"""Whatever the operator says is wrong, the plugin says what to do about it."""

from __future__ import annotations

import ast

from marketpipeline_operator.plugin.remedies import REMEDIES

from tests.conftest import PROJECT

SOURCE = PROJECT / "operator" / "marketpipeline_operator"


def reasons() -> set[str]:
    """The reasons of all faults, and of conditions that tell of a degradation, as the code has them."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            texts = [part.value if isinstance(part, ast.Constant) else None for part in call.args]
            if call.func.id == "Fault" and texts:
                found.add(texts[0])
            if call.func.id == "Condition" and texts[:2] == ["Degraded", True]:
                found.add(texts[2])
    return {reason for reason in found if isinstance(reason, str)}


def test_every_reason_of_the_operator_has_a_remedy() -> None:
    found = reasons()
    assert {"ProcessDegraded", "RolloutHalted", "TopicConflict", "ReconcileFailed"} <= found
    assert found <= set(REMEDIES)


def test_a_remedy_is_a_sentence() -> None:
    for reason, text in REMEDIES.items():
        assert text[0] + text[-1] == text[0].upper() + ".", reason
