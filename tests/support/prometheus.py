"""Prometheus, its `promtool` and Alertmanager, as the set-up unpacks them from Debian's packages."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import PROJECT, require

__all__ = ["UnitTest", "alertmanager", "prometheus_program", "verdicts"]

_UNPACKED = PROJECT / ".cache" / "prometheus" / "usr"
_AS_IF_INSTALLED = 'mount -t overlay overlay -o "lowerdir=$0:/usr/share" /usr/share && exec "$@"'


@dataclass(frozen=True)
class UnitTest:
    """Whether an alert fires in minute 20 of these series, given in promtool's notation, a value a minute."""

    alert: str
    series: Mapping[str, str]
    fires: bool

    def as_promtool(self) -> dict[str, Any]:
        firing = f'(count(ALERTS{{alertname="{self.alert}", alertstate="firing"}}) or vector(0)) > bool 0'
        expected = {"labels": "{}", "value": int(self.fires)}
        return {
            "name": f"{self.alert} {'fires' if self.fires else 'is silent'} with {json.dumps(self.series)}",
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in self.series.items()],
            "promql_expr_test": [{"expr": firing, "eval_time": "20m", "exp_samples": [expected]}],
        }


def prometheus_program(name: str) -> Path:
    """`prometheus` or `promtool`; skips without it, fails in CI."""
    program = _UNPACKED / "bin" / name
    require(program.exists(), f"{name} is absent: on Debian as root `make setup-test` unpacks it")
    return program


def alertmanager(*options: str) -> list[str]:
    """The command of Debian's Alertmanager, which reads its template in /usr/share: in a mount namespace of its own the
    unpacked package lies over that, so nothing is installed."""
    program = prometheus_program("prometheus-alertmanager")
    return ["unshare", "--mount", "sh", "-c", _AS_IF_INSTALLED, str(_UNPACKED / "share"), str(program), *options]


def verdicts(folder: Path, rules: Mapping[str, Any], tests: Sequence[UnitTest]) -> str:
    """What promtool says of the tests that are not as expected; empty when all are. `rules` has `groups`."""
    (folder / "rules.yaml").write_text(yaml.safe_dump(dict(rules)))
    wanted = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [test.as_promtool() for test in tests],
    }
    (folder / "tests.yaml").write_text(yaml.safe_dump(wanted))
    command = [str(prometheus_program("promtool")), "test", "rules", str(folder / "tests.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr
