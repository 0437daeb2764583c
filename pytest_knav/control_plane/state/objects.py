"""
Any Kubernetes objects as the keys and values that the API server would have stored.

What the API server adds to an object at its creation (defaults, tolerations, service
account, priority) is asked of the API server itself, by a dry run for each shape. An
object that was read from an API server is finished: it goes in as it is.
"""

from __future__ import annotations

import functools
import json
import time
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane.api import ApiRefusedError
from pytest_knav.control_plane.kwokctl import KUBELET_LABEL, KUBELET_RUNNING
from pytest_knav.control_plane.state import addresses
from pytest_knav.control_plane.state.nodes import timestamp
from pytest_knav.control_plane.state.places import NAMES_ALONE, Placed, place
from pytest_knav.control_plane.state.shapes import (
    completed,
    names_itself,
    shape,
    types,
)
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_knav.control_plane.api import Api, JsonObject

_DRY_RUN: Final = "dryRun=All&fieldValidation=Strict"
_TOPOLOGY: Final = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")
_NOT_READY: Final = "node.kubernetes.io/not-ready"


def stored(api: Api, objects: Iterable[Mapping[str, Any]]) -> dict[str, bytes]:
    """
    Return the stored keys of objects.

    Args:
        api: The API server.
        objects: With kind and name; what they refer to must be there.

    Raises:
        BadInput: One has no kind or name, is there twice, its kind or namespace is not
            served, or the API server refuses it.

    """
    return values_of(api, place(api, objects))


def values_of(api: Api, placed: Iterable[Placed]) -> dict[str, bytes]:
    """Return the stored values of placed objects; see `stored`."""
    wanted = list(placed)
    _refuse_unreadable(api, [one for one in wanted if one.finished and one.path])
    asked = [one for one in wanted if not one.finished and one.path]
    addresses.give(api, [one.body for one in asked if one.body["kind"] == "Service"])
    complete = _completions(api, asked)
    now = timestamp(time.time())
    values = {}
    for one in wanted:
        made = _born(one.body, now)
        if one.key in complete:
            made = complete[one.key](made)
        if made["kind"] == "Node":
            _ready_for_kwok(made)
        values[one.key] = json.dumps(made).encode()
    return values


def _born(body: JsonObject, now: str) -> JsonObject:
    metadata = body["metadata"]
    own = {
        "uid": metadata.get("uid") or str(uuid.uuid4()),
        "creationTimestamp": metadata.get("creationTimestamp") or now,
    }
    return {**body, "metadata": {**metadata, **own}}


def _completions(
    api: Api, placed: list[Placed]
) -> dict[str, Callable[[JsonObject], JsonObject]]:
    """Return for each key what completes its object; asks once for each shape."""
    groups: dict[tuple[str | None, str], list[Placed]] = {}
    domains = _domains(api, placed)
    for one in placed:
        spec = one.body.get("spec")
        node = spec.get("nodeName") if isinstance(spec, dict) else None
        domain = domains.get(str(node))
        groups.setdefault((one.path, shape(one.body, domain)), []).append(one)
    firsts = [group[0] for group in groups.values()]
    answers = dict(zip((f.key for f in firsts), _ask(api, firsts), strict=True))
    alone = [
        one
        for group in groups.values()
        if names_itself(group[0].body, answers[group[0].key])
        for one in group[1:]
    ]
    answers.update(zip((one.key for one in alone), _ask(api, alone), strict=True))
    complete: dict[str, Callable[[JsonObject], JsonObject]] = {}
    for group in groups.values():
        for one in group:
            asked = one if one.key in answers else group[0]
            complete[one.key] = functools.partial(
                completed, given=asked.body, answer=answers[asked.key]
            )
    return complete


def _refuse_unreadable(api: Api, placed: list[Placed]) -> None:
    """
    Refuse finished objects that the API server could not decode.

    In the store one of them would break every list of its kind. Whatever else the
    answer says concerns objects that are new, which these are not.
    """
    firsts = {(one.path, json.dumps(types(one.body))): one for one in placed}

    def ask(one: Placed) -> JsonObject:
        try:
            return api.create(f"{one.path}?dryRun=All", one.body)
        except ApiRefusedError as error:
            if error.status == HTTPStatus.BAD_REQUEST:
                raise _refused(one, error) from error
            return {}

    api.each(functools.partial(ask, one) for one in firsts.values())


def _domains(api: Api, placed: list[Placed]) -> dict[str, tuple[object, ...]]:
    """Return what pods take over from each node (admission, PodTopologyLabels)."""
    if not any(one.body["kind"] == "Pod" for one in placed):
        return {}
    return {
        node["metadata"]["name"]: tuple(
            node["metadata"].get("labels", {}).get(key) for key in _TOPOLOGY
        )
        for node in api.get_as("/api/v1/nodes", NAMES_ALONE)["items"]
    }


def _ask(api: Api, placed: list[Placed]) -> list[JsonObject]:
    return api.each(functools.partial(_dry_run, api, one) for one in placed)


def _dry_run(api: Api, one: Placed) -> JsonObject:
    metadata = {k: v for k, v in one.body["metadata"].items() if k != "uid"}
    try:
        return api.create(f"{one.path}?{_DRY_RUN}", {**one.body, "metadata": metadata})
    except ApiRefusedError as error:
        raise _refused(one, error) from error


def _refused(one: Placed, error: ApiRefusedError) -> BadInput:
    return BadInput(f"the API server refuses {one.label}: {error.message}")


def _ready_for_kwok(node: JsonObject) -> None:
    """Have our KWOK play a node, and leave one schedulable that is Ready already."""
    labels = node["metadata"].get("labels") or {}
    node["metadata"]["labels"] = {KUBELET_LABEL: KUBELET_RUNNING, **labels}
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    taints = (node.get("spec") or {}).get("taints")
    if ready and taints:
        # Put on every new node by admission (plugin TaintNodesByCondition), and taken
        # away when it becomes Ready.
        node["spec"]["taints"] = [t for t in taints if t["key"] != _NOT_READY]
