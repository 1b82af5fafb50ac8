"""What all children have in common: name, labels, owner, and the hash of what was rendered."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from marketpipeline_operator.builders.context import Context
from marketpipeline_operator.names import RENDERED, Object, child_name, labels, owner_reference

__all__ = ["child", "digest", "sealed"]


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits that follow from the JSON of `value`, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def child(
    context: Context, api_version: str, kind: str, part: str, *, owned: bool = True, **more_labels: str
) -> Object:
    """The head of a child. `part` names it within the pipeline.

    None has the pipeline's own name, and of one kind no part ends with `-` and another part: so the names of two
    pipelines' children cannot meet, nor that of a pipeline and an object that others made for it.
    """
    metadata: Object = {
        "name": child_name(context.name, part),
        "namespace": context.namespace,
        "labels": labels(context.name, **more_labels),
    }
    if owned:
        metadata["ownerReferences"] = [owner_reference(context.name, context.uid)]
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def sealed(thing: Object) -> Object:
    """`thing` with the annotation that says what was rendered, by which an unchanged object is known."""
    metadata = thing["metadata"]
    annotations = metadata.get("annotations", {}) | {RENDERED: digest(thing)}
    return thing | {"metadata": metadata | {"annotations": annotations}}
