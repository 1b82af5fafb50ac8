"""What a bug report needs, in one archive, with nothing secret in it.

Passwords never are in a pipeline's objects, as the kubelet puts them into Pods; so of Secrets only names and keys are
told, and what looks like a password anywhere else is replaced, in objects and in logs.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml
from marketpipeline import __version__
from marketpipeline.errors import MarketPipelineError, without_passwords

from marketpipeline_operator.names import Object
from marketpipeline_operator.plugin.access import Access, Seen

__all__ = ["redacted", "write_report"]

_SECRET_NAME = re.compile(
    r"passw|token|credential|client[_.-]?secret|(secret|access|account|private|api)[_.-]?(access[_.-]?)?key",
    re.IGNORECASE,
)
_LEFT_OUT = frozenset({"managedFields", "kubectl.kubernetes.io/last-applied-configuration"})
"""Who wrote which field, and the whole spec once more as a text."""
_OPTION = re.compile(r"(?P<name>-D[^=\s]+)=.*", re.DOTALL)
_LINES = 5_000
_HIDDEN = "***"


def write_report(access: Access, seen: Seen, text: str, out: Path) -> list[str]:
    """Write a gzipped tar; gives the names of its files. `text` is what `status` prints."""
    names = []
    with tarfile.open(out, "w:gz") as archive:
        for name, content in _files(access, seen, text):
            data = content.encode()
            entry = tarfile.TarInfo(f"{seen.pipeline['metadata']['name']}/{name}")
            entry.size, entry.mtime = len(data), int(time.time())
            archive.addfile(entry, io.BytesIO(data))
            names.append(name)
    return names


def _files(access: Access, seen: Seen, text: str) -> Iterator[tuple[str, str]]:
    yield "status.txt", without_passwords(text) + "\n"
    yield "version.txt", f"kubectl-marketpipeline {__version__}\n"
    yield "pipeline.yaml", _yaml(seen.pipeline)
    yield "events.yaml", _yaml({"items": list(seen.events)})
    for kind, things in access.children(seen.pipeline["metadata"]["name"]).items():
        for thing in things:
            yield f"objects/{kind.kind}/{thing['metadata']['name']}.yaml", _yaml(thing)
    for pod in seen.pods:
        name = pod["metadata"]["name"]
        yield f"pods/{name}.yaml", _yaml(pod)
        yield from _logs(access, pod, name)


def _logs(access: Access, pod: Object, name: str) -> Iterator[tuple[str, str]]:
    """The newest lines, and those of the container before where it was started again."""
    restarted = any(one.get("restartCount") for one in pod.get("status", {}).get("containerStatuses", []))
    for previous in (False, True) if restarted else (False,):
        try:
            lines = list(access.log(name, tailLines=_LINES, previous=str(previous).lower(), timestamps="true"))
        except MarketPipelineError as error:
            lines = [f"no log: {error}"]
        suffix = ".previous" if previous else ""
        yield f"logs/{name}{suffix}.log", without_passwords("\n".join(lines)) + "\n"


def _yaml(thing: Object) -> str:
    return without_passwords(yaml.safe_dump(redacted(thing), sort_keys=False, allow_unicode=True, width=120))


def redacted(value: object, name: str = "") -> object:
    """`value` without texts that have the name of something secret, also in JSON and options that are texts, without
    what its user put into the environment, and without what says who wrote which field."""
    if isinstance(value, dict):
        if _SECRET_NAME.search(str(value.get("name", ""))):
            value = _without_value(value)
        return {key: redacted(entry, str(key)) for key, entry in value.items() if key not in _LEFT_OUT}
    if isinstance(value, list):
        return [
            redacted(_without_value(entry) if name == "env" and isinstance(entry, dict) else entry, name)
            for entry in value
        ]
    if not isinstance(value, str):
        return value
    if _SECRET_NAME.search(name):
        return _HIDDEN
    if (option := _OPTION.fullmatch(value)) and _SECRET_NAME.search(option["name"]):
        return f"{option['name']}={_HIDDEN}"
    return _json(value) if value.startswith("{") else value


def _without_value(entry: dict[str, object]) -> dict[str, object]:
    """Of a variable that has a value of its own; what comes from a Secret has only its name."""
    return entry | {"value": _HIDDEN} if "value" in entry else entry


def _json(text: str) -> str:
    try:
        return json.dumps(redacted(json.loads(text)), indent=1)
    except ValueError:
        return text
