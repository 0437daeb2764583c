"""``knav exclusion``: keeps nodes out that fail much of what runs on them."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_knav.commands import numbers
from pytest_knav.durations import seconds
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from pytest_knav.exclusion.policy import Decision

_LEAST_S = 0.05


def exclusion(  # noqa: PLR0913 - one for each option
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            help="Of the cluster; by default the usual one, or the pod's.",
            metavar="FILE",
        ),
    ] = None,
    *,
    estimator: Annotated[
        str,
        typer.Option(
            help="How failures are judged: bayes, armada or window.", metavar="NAME"
        ),
    ] = "bayes",
    threshold: Annotated[
        float | None,
        typer.Option(
            help="How sure it must be, 0 to 1; else the estimator's own.",
            metavar="P",
        ),
    ] = None,
    selector: Annotated[
        str,
        typer.Option(
            help="Labels of the nodes it may touch; else all of them.",
            metavar="SELECTOR",
        ),
    ] = "",
    max_excluded: Annotated[
        str,
        typer.Option(
            help="The share of nodes that may be out at once.", metavar="SHARE"
        ),
    ] = "10%",
    max_per_domain: Annotated[
        int | None,
        typer.Option(
            help="How many nodes of one domain may be out; by default any.",
            metavar="N",
            parser=numbers.whole,
        ),
    ] = None,
    domain_label: Annotated[
        str,
        typer.Option(help="The label whose value is a node's domain.", metavar="KEY"),
    ] = "topology.kubernetes.io/rack",
    queue_label: Annotated[
        str,
        typer.Option(
            help="The label of a pod's queue; else its owner stands in.", metavar="KEY"
        ),
    ] = "kueue.x-k8s.io/queue-name",
    breaker: Annotated[
        int,
        typer.Option(
            help="So many exclusions in five minutes stop all others.",
            metavar="N",
            parser=numbers.whole,
        ),
    ] = 10,
    probation: Annotated[
        str,
        typer.Option(
            help="How long a first exclusion lasts; relapses double it.",
            metavar="DURATION",
        ),
    ] = "30m",
    settled: Annotated[
        str,
        typer.Option(
            help="A pod that may restart, and ran so long without, counts as a "
            "success.",
            metavar="DURATION",
        ),
    ] = "10m",
    cycle: Annotated[
        str, typer.Option(help="Time between two decisions.", metavar="DURATION")
    ] = "1s",
    metrics_port: Annotated[
        int | None,
        typer.Option(
            help="Where to serve /metrics on loopback.",
            metavar="PORT",
            parser=numbers.port,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    release: Annotated[
        bool,
        typer.Option("--release", help="At the end, take every exclusion back."),
    ] = False,
) -> None:
    """
    Watch pods, find nodes that fail them, and keep new pods away from such nodes.

    An excluded node gets the taint pytest-knav/excluded with the effect NoSchedule, a
    condition HighFailureRate with the reason, and an event. It is taken back after a
    probation, at a reboot or replacement, or when somebody takes the taint away. What
    is known is kept on the node objects, so that a restart forgets nothing. Ends with
    Ctrl-C; the exclusions stay, unless --release is given. Begin with --dry-run: it
    needs to read pods and nodes alone, and says what it would do.
    """
    from pytest_knav.exclusion.api import AnyCluster  # noqa: PLC0415 - if asked for
    from pytest_knav.exclusion.controller import (  # noqa: PLC0415 - likewise
        Controller,
        Settings,
    )
    from pytest_knav.exclusion.metrics import MetricsServer  # noqa: PLC0415
    from pytest_knav.exclusion.policy import Limits  # noqa: PLC0415
    from pytest_knav.exclusion.preflight import check  # noqa: PLC0415

    settings = Settings(
        estimator=estimator,
        limits=Limits(
            threshold=threshold,
            share=_share(max_excluded),
            per_domain=_count("--max-per-domain", max_per_domain),
            breaker=_count("--breaker", breaker) or 1,
            probation_s=_span("--probation", probation),
        ),
        selector=selector,
        domain_label=_key("--domain-label", domain_label),
        queue_label=_key("--queue-label", queue_label),
        cycle_s=_span("--cycle", cycle),
        settled_s=_span("--settled", settled),
        dry_run=dry_run,
    )
    stop = threading.Event()
    with ExitStack() as opened:
        api = opened.enter_context(closing(AnyCluster(kubeconfig)))
        controller = Controller(api, settings, _tell)
        check(api, settings)
        if metrics_port is not None:
            server = MetricsServer(controller, metrics_port)
            opened.callback(server.close)
        typer.echo(f"looking after {api.server} with {estimator}")
        try:
            controller.run(stop)
        except KeyboardInterrupt:
            stop.set()
        finally:
            if release:
                for node in controller.release():
                    typer.echo(f"readmit {node}: released")


def _tell(decision: Decision) -> None:
    typer.echo(f"{decision.verb} {decision.node}: {decision.why}")


def _span(option: str, text: str) -> float:
    """Return a duration that is not nothing."""
    found = seconds(text, name=option)
    if found < _LEAST_S:
        raise BadInput(f"{option}={text!r}: give at least 50ms")
    return found


def _count(option: str, number: int | None) -> int | None:
    """Return a number that is at least one, or nothing."""
    if number is not None and number < 1:
        raise BadInput(f"{option}={number}: give a whole number of at least 1")
    return number


def _key(option: str, text: str) -> str:
    """Return the key of a label."""
    if not text or any(sign in text for sign in " ,="):
        raise BadInput(f"{option}={text!r}: give the key of a label")
    return text


def _share(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise BadInput(f"--max-excluded={text!r}: give a share such as 10%") from error
    if not 0 <= value <= 1:
        raise BadInput(f"--max-excluded={text!r}: give a share from 0% to 100%")
    return value
