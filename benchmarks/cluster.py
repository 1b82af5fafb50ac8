"""What the campaigns on a cluster share: the suite's own cluster, operator and pipeline, in a namespace of its own."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.charts import OPERATOR_CHART, Release
from tests.cluster.image import OPERATOR, Image
from tests.cluster.kubectl import Kubectl
from tests.cluster.platform import Cluster, running_cluster
from tests.cluster.replayed import NAME, installed
from tests.cluster.stack import operator_installed
from tests.conftest import wait_for
from tests.support import captures

__all__ = ["Campaign", "campaign", "capture", "wait"]


@dataclass(frozen=True)
class Campaign:
    """A cluster with the operator and a pipeline that is ready, whose exchanges send."""

    cluster: Cluster
    kubectl: Kubectl
    operator: Release


def capture(name: str) -> Path:
    """A capture by its file name."""
    found = captures.find(name)
    if found is None:
        raise SystemExit(f"no capture {name}")
    return found


@contextmanager
def campaign(
    speeds: Mapping[str, float], *, operator_chart: Path = OPERATOR_CHART, options: tuple[str, ...] = (),
    images: tuple[Image, ...] = (OPERATOR,),
) -> Iterator[Campaign]:  # fmt: skip
    """Everything installed and Ready; `options` are values of the operator, `images` are built beside the suite's."""
    with running_cluster() as cluster, ExitStack() as stack:
        default = Kubectl(cluster.kubectl(), cluster.kubeconfig())
        namespace = f"campaign-{uuid.uuid4().hex[:8]}"
        default("create", "namespace", namespace)
        stack.callback(default, "delete", "namespace", namespace, "--wait=false")
        kubectl = default.within(namespace)

        def build(*wanted: Image) -> None:
            for image in wanted:
                cluster.build(image)

        build(*images)
        operator = stack.enter_context(operator_installed(default, operator_chart, options))
        stack.enter_context(installed(cluster, kubectl, build, capture, speeds))
        kubectl("wait", "--for=condition=Ready", f"marketpipeline/{NAME}", "--timeout=300s", seconds=310)
        yield Campaign(cluster, kubectl, operator)


def wait(condition: Callable[[], bool], what: str, seconds: float) -> float:
    """The seconds until it held; ends the campaign as a test that fails after so many."""
    began = time.monotonic()
    wait_for(condition, what, seconds=seconds, every=0.5)
    return round(time.monotonic() - began, 1)
