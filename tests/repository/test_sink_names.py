"""Nothing but a kind of sink's own modules names a store: generic code asks the registry."""

from __future__ import annotations

import re

from marketpipeline.sink_kinds import sink_kinds

from tests.conftest import PROJECT
from tests.repository.test_exchange_names import CODE, offences

# Servers of the local platform, what the kinds' tables and keys are called in the core, and Grafana's dashboards, whose
# panels are written in the language of the store that they ask.
OWN = re.compile(
    r"/(dashboards/\w+|local/components/(postgres|seaweed|valkey)|sinks/(backup|tiers)/\w+"
    r"|store/(__init__|digest|tables|latest|postgres|redis))\.py$"
)
ALLOWED = {
    "services/marketpipeline/spec/backup.py": "the store that is copied",
    "services/marketpipeline/setup/steps.py": "what an extra installs, which packages name",
    "services/marketpipeline/sinks/memory.py": "the same topics as the history's",
    "operator/marketpipeline_operator/chart/values.py": "values of those dashboards",
    "operator/marketpipeline_operator/chart/stack_values.py": "values of the servers of the stack",
    "operator/marketpipeline_operator/chart/stack_files.py": "what its README says of them",
    "operator/marketpipeline_operator/crd/status.py": "an example in a description",
}


def test_generic_code_names_no_store() -> None:
    names = [*sink_kinds(), "postgres", "valkey"]
    pattern = re.compile(rf"(?<![a-z])({'|'.join(names)})(?![a-z])", re.IGNORECASE)
    modules = [path for folder in CODE for path in sorted((PROJECT / folder).rglob("*.py"))]
    assert len(modules) > 20, "the code was not found"
    own = re.compile(f"/({'|'.join(names)})(/|\\.py$)")
    generic = [path for path in modules if not own.search(str(path)) and not OWN.search(str(path))]
    found = {str(path.relative_to(PROJECT)): offences(path, pattern) for path in generic}
    assert not {path: words for path, words in found.items() if words and path not in ALLOWED}
    assert {path for path in ALLOWED if not found[path]} == set(), "no longer needed"
