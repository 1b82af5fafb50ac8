"""The commands of `kubectl marketpipeline`; they end as those of `marketpipeline` do."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from marketpipeline import __version__
from marketpipeline.console import run_commands
from marketpipeline.errors import MarketPipelineError, PermanentError

from marketpipeline_operator.cluster.errors import Invalid
from marketpipeline_operator.names import COMPONENT, PAUSE, PROCESS, RESTART, SAVEPOINT, Object, switched_on
from marketpipeline_operator.plugin.access import Access, conditions
from marketpipeline_operator.plugin.report import write_report
from marketpipeline_operator.plugin.show import overview, status_text

__all__ = ["cli", "main"]

_PALETTE = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_yellow")
_WAIT = 300.0
_WAKE = "to wake it before, change or remove spec.hibernation"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kubectl marketpipeline")
@click.option("--kubeconfig", help="Path of the kubeconfig (default: $KUBECONFIG, then ~/.kube/config).")
@click.option("--context", help="Context of the kubeconfig (default: the current one).")
@click.option("-n", "--namespace", help="Namespace (default: the context's).")
@click.pass_context
def cli(found: click.Context, kubeconfig: str | None, context: str | None, namespace: str | None) -> None:
    """See and steer the MarketPipelines of a cluster, with your own rights."""
    found.obj = lambda: found.with_resource(closing(Access.connect(kubeconfig, context, namespace)))


name_argument = click.argument("name")
wait_option = click.option("--wait/--no-wait", default=True, show_default=True, help="Until it is done.")
timeout_option = click.option(
    "--timeout", default=_WAIT, show_default=True, type=click.FloatRange(min=1), help="How long to wait, in seconds."
)


@cli.command()
@click.argument("name", required=False)
@click.pass_obj
def status(connect: Callable[[], Access], name: str | None) -> None:
    """What a pipeline is doing, what is wrong and what to do; without NAME a line for each."""
    access, now = connect(), datetime.now(UTC)
    if name is not None:
        click.echo(status_text(access.seen(name), now))
        return
    found = access.pipelines()
    click.echo(overview(found, now) if found else f"no MarketPipeline in namespace {access.namespace}")


@cli.command()
@name_argument
@click.option("--component", help="Of one component only, e.g. ingestion, sink-timescale, stream-job.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("--tail", default=20, show_default=True, type=click.IntRange(min=0), help="Newest lines of each Pod.")
@click.option("--previous", is_flag=True, help="Of the containers before those that run, to see why they ended.")
@click.pass_obj
def logs(
    connect: Callable[[], Access], name: str, component: str | None, follow: bool, tail: int, previous: bool
) -> None:
    """The logs of a pipeline's Pods, each line with its process."""
    access = connect()
    pods = [pod for pod in access.seen(name).pods if component in (None, _component(pod))]
    if not pods:
        raise click.UsageError(_no_pods(access, name, component))
    options: dict[str, Any] = {"tailLines": tail, "follow": str(follow).lower(), "previous": str(previous).lower()}
    lines = _together(access, pods, options) if follow else _in_turn(access, pods, options)
    width = max(len(_process(pod)) for pod in pods)
    colours = {_process(pod): _PALETTE[index % len(_PALETTE)] for index, pod in enumerate(pods)}
    for process, line in lines:
        click.echo(f"{click.style(process.ljust(width), fg=colours[process])}  {line}")


@cli.command()
@name_argument
@wait_option
@timeout_option
@click.pass_obj
def suspend(connect: Callable[[], Access], name: str, wait: bool, timeout: float) -> None:
    """Stop all processes of a pipeline, the stream job with a savepoint; its data stays."""
    _switch(connect(), name, suspended=True, wait=wait, timeout=timeout)


@cli.command()
@name_argument
@wait_option
@timeout_option
@click.pass_obj
def resume(connect: Callable[[], Access], name: str, wait: bool, timeout: float) -> None:
    """Start a suspended pipeline, from where it stopped."""
    _switch(connect(), name, suspended=False, wait=wait, timeout=timeout)


def _switch(access: Access, name: str, *, suspended: bool, wait: bool, timeout: float) -> None:
    there = access.pipeline(name)
    _not_paused(there)
    if _asleep(there) and not suspended:
        raise click.UsageError(f"{name}: {_asleep(there)}; {_WAKE}")
    patched = access.merge(name, {"spec": {"suspend": suspended}})
    if not wait:
        asleep = " unless it is asleep by spec.hibernation" if "hibernation" in there["spec"] and not suspended else ""
        click.echo(f"{name}: will be {'suspended' if suspended else 'resumed'}{asleep}")
        return
    generation = patched["metadata"]["generation"]
    if suspended:
        access.wait(name, lambda one: _acted(one, generation) and _phase(one) == "Suspended", timeout)
        click.echo(f"{name}: suspended")
        return
    found = access.wait(name, lambda one: _acted(one, generation) and _goes_on(one), timeout)
    if _asleep(found):
        click.echo(f"{name}: suspended no more, but {_asleep(found)}; {_WAKE}")
        return
    access.wait(name, lambda one: _is_ready(one, generation), timeout)
    click.echo(f"{name}: runs")


@cli.command()
@name_argument
@click.option("--component", help="Of one component only, e.g. api.")
@click.pass_obj
def restart(connect: Callable[[], Access], name: str, component: str | None) -> None:
    """Replace a pipeline's Pods: one process of ingestion after another, the stream job with a savepoint."""
    access = connect()
    pipeline = access.pipeline(name)
    _not_stopped(pipeline)
    known = sorted({_component(pod) for pod in access.seen(name).pods})
    if component is not None and component not in known:
        text = f"{name} has no {component!r}; it has {', '.join(known) or 'no Pods'}"
        raise click.BadParameter(text, param_hint="--component")
    mark = RESTART if component is None else f"{RESTART}.{component}"
    access.annotate(name, **{mark: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")})
    click.echo(f"{name}: {component or 'all processes'} will be replaced; see kubectl marketpipeline status {name}")


@cli.command()
@name_argument
@timeout_option
@click.pass_obj
def savepoint(connect: Callable[[], Access], name: str, timeout: float) -> None:
    """Take a savepoint of the stream job, and say where it is."""
    access = connect()
    before = access.pipeline(name)
    _not_stopped(before)
    asked = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    access.annotate(name, **{SAVEPOINT: asked})

    def done(pipeline: Object) -> bool:
        failed = next((one for one in conditions(pipeline, "Degraded") if one["reason"] == "SavepointFailed"), None)
        if failed and failed not in conditions(before, "Degraded"):
            raise PermanentError(failed["message"])
        return bool(_savepoints(pipeline).get("request") == asked)

    click.echo(_savepoints(access.wait(name, done, timeout))["kept"][0]["location"])


@cli.command()
@name_argument
@click.option("--from", "origin", metavar="URI", help="A savepoint to start from, in place of the topics' beginning.")
@click.confirmation_option(prompt="The job's state is left behind. Go on?")
@click.pass_obj
def replay(connect: Callable[[], Access], name: str, origin: str | None) -> None:
    """Let the stream job compute everything anew that its topics hold; rows in stores only grow truer."""
    access = connect()
    _not_stopped(access.pipeline(name))
    processing = {"reset": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "initialSavepoint": origin}
    access.merge(name, {"spec": {"processing": processing}})
    start = origin or "the beginning of its topics"
    click.echo(f"{name}: computes again from {start}; see kubectl marketpipeline status {name}")


@cli.command()
@name_argument
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write (default: NAME-TIME.tar.gz)."
)
@click.pass_obj
def report(connect: Callable[[], Access], name: str, out: Path | None) -> None:
    """Collect status, objects, events and logs for a bug report, without anything secret."""
    access, now = connect(), datetime.now(UTC)
    seen = access.seen(name)
    target = out or Path(f"{name}-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    try:
        names = write_report(access, seen, status_text(seen, now), target)
    except OSError as error:
        raise click.BadParameter(f"{target} cannot be written: {error.strerror}", param_hint="--out") from error
    click.echo(f"{target}: {len(names)} files, passwords replaced; look through it before you send it")


def _in_turn(access: Access, pods: Sequence[Object], options: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for pod in pods:
        try:
            for line in access.log(pod["metadata"]["name"], **options):
                yield _process(pod), line
        except Invalid as error:  # its container has not started, or none was before it
            click.echo(str(error), err=True)


def _together(access: Access, pods: Sequence[Object], options: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Lines of all as they come, until every Pod has ended."""
    lines: queue.SimpleQueue[tuple[str, str] | MarketPipelineError | None] = queue.SimpleQueue()

    def read(pod: Object) -> None:
        try:
            for line in access.log(pod["metadata"]["name"], **options):
                lines.put((_process(pod), line))
        except MarketPipelineError as error:
            lines.put(error)
        lines.put(None)

    for pod in pods:
        threading.Thread(target=read, args=(pod,), daemon=True).start()
    open_ones = len(pods)
    while open_ones:
        found = lines.get()
        if found is None:
            open_ones -= 1
        elif isinstance(found, MarketPipelineError):
            click.echo(str(found), err=True)
        else:
            yield found


def _no_pods(access: Access, name: str, component: str | None) -> str:
    known = sorted({_component(pod) for pod in access.seen(name).pods})
    if component is None or not known:
        return f"{name} has no Pods; kubectl marketpipeline status {name} tells why"
    return f"--component: {name} has no {component!r}; it has {', '.join(known)}"


def _component(pod: Object) -> str:
    return str(pod["metadata"]["labels"].get(COMPONENT, ""))


def _process(pod: Object) -> str:
    return str(pod["metadata"]["labels"].get(PROCESS, pod["metadata"]["name"]))


def _not_paused(pipeline: Object) -> None:
    if switched_on(pipeline, PAUSE):
        name = pipeline["metadata"]["name"]
        text = f"{name}: its reconciling is paused, so nothing would happen; remove that first with"
        raise click.UsageError(f"{text} kubectl annotate mp {name} {PAUSE}-")


def _not_stopped(pipeline: Object) -> None:
    _not_paused(pipeline)
    name = pipeline["metadata"]["name"]
    if pipeline["spec"].get("suspend"):
        text = f"{name}: it is suspended, nothing of it runs; start it first with"
        raise click.UsageError(f"{text} kubectl marketpipeline resume {name}")
    if asleep := _asleep(pipeline):
        raise click.UsageError(f"{name}: {asleep}, nothing of it runs; {_WAKE}")


def _asleep(pipeline: Object) -> str:
    """Of a pipeline that hibernates, that it does and until when; empty for any other."""
    rest = (pipeline.get("status") or {}).get("hibernation", {})
    if not rest.get("asleep") or pipeline["spec"].get("suspend"):
        return ""
    return f"it is asleep until {rest['until']}" if "until" in rest else "it is asleep"


def _goes_on(pipeline: Object) -> bool:
    """Whether a resumption has been acted on: it runs, or is to rest for another reason."""
    return _phase(pipeline) != "Suspended" or bool(_asleep(pipeline))


def _savepoints(pipeline: Object) -> Object:
    found: Object = (pipeline.get("status") or {}).get("savepoints", {})
    return found


def _acted(pipeline: Object, generation: int) -> bool:
    return bool((pipeline.get("status") or {}).get("observedGeneration", 0) >= generation)


def _phase(pipeline: Object) -> str:
    return str((pipeline.get("status") or {}).get("phase", ""))


def _is_ready(pipeline: Object, generation: int) -> bool:
    return any(
        one["status"] == "True" and one.get("observedGeneration", 0) >= generation
        for one in conditions(pipeline, "Ready")
    )


def main() -> None:
    """Entry point of `kubectl-marketpipeline`, which kubectl finds on the PATH."""
    run_commands(cli, "kubectl marketpipeline")
