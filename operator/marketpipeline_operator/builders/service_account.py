"""The ServiceAccount of a pipeline's Pods: an identity without any right at the API server."""

from __future__ import annotations

from marketpipeline_operator.builders.context import Context
from marketpipeline_operator.builders.metadata import child
from marketpipeline_operator.names import PODS, Object

__all__ = ["service_account"]


def service_account(context: Context) -> Object:
    """The ServiceAccount; its token is not mounted."""
    return child(context, "v1", "ServiceAccount", PODS) | {"automountServiceAccountToken": False}
