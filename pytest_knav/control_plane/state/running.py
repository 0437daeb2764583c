"""Pods as KWOK leaves them when it has started them: Running and Ready."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final


if TYPE_CHECKING:
    from collections.abc import Mapping

# Beside KWOK's own pool, which begins at 10.0.0.1.
_FIRST_ADDRESS: Final = ipaddress.IPv4Address("10.128.0.1")
_CONDITIONS: Final = ("PodScheduled", "Initialized", "Ready", "ContainersReady")


def running(pod: Mapping[str, Any], number: int, now: str) -> dict[str, Any]:
    """
    Return a pod that runs on its node, with the status of stage `pod-ready`.

    Args:
        pod: With a nodeName.
        number: Which one it is; no two pods get one address.
        now: A Kubernetes Time.

    """
    spec = pod["spec"]
    address = str(_FIRST_ADDRESS + number)
    status: dict[str, Any] = {
        "phase": "Running",
        "startTime": now,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": now}
            for kind in _CONDITIONS
        ],
        "containerStatuses": [_started(one, now) for one in spec["containers"]],
    }
    if spec.get("initContainers"):
        status["initContainerStatuses"] = [
            _started(one, now)
            if one.get("restartPolicy") == "Always"
            else _completed(one, now)
            for one in spec["initContainers"]
        ]
    return {**pod, "status": status}


def _started(container: Mapping[str, Any], now: str) -> dict[str, Any]:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    }


def _completed(container: Mapping[str, Any], now: str) -> dict[str, Any]:
    over = {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": True,
        "restartCount": 0,
        "state": {"terminated": over},
    }
