"""The last steps of making a control plane, and the mark that says that it is ours."""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING, Final

import yaml

from pytest_knav.control_plane import kwokctl, retrying
from pytest_knav.errors import ClusterError


if TYPE_CHECKING:
    from pytest_knav.control_plane.config import ClusterConfig
    from pytest_knav.control_plane.plane import ControlPlane

READY_TIMEOUT_S: Final = 60.0
_FINGERPRINT: Final = "pytest-knav-fingerprint"
_CONFIG_MAPS: Final = "/api/v1/namespaces/kube-system/configmaps"
FINGERPRINT_PATH: Final = f"{_CONFIG_MAPS}/{_FINGERPRINT}"
_STAGES_PATH: Final = "/apis/kwok.x-k8s.io/v1alpha1/stages"


def finish(plane: ControlPlane, config: ClusterConfig) -> None:
    """Bring a freshly started control plane to where tests can use it."""
    _check_profile(plane, config)
    # KWOK was started before the API server and before its own CRDs: it would
    # look for stages again only after some seconds. It has no nodes yet, so
    # starting it afresh costs nothing.
    kwok = plane.component("kwok")
    kwok.wait_started()
    kwok.kill()
    plane.component("kube-apiserver").wait_healthy(timeout=READY_TIMEOUT_S)
    _apply_stages(plane)
    kwok.start()
    _sign(plane)
    for component in plane.components.values():
        component.wait_healthy(timeout=READY_TIMEOUT_S)
    plane.states.note_newborn()


def _check_profile(plane: ControlPlane, config: ClusterConfig) -> None:
    differences = kwokctl.read_back(plane.commands(), config.profile)
    if plane.network is not None:
        differences += plane.network.wiring.differences(plane.commands())
    if differences:
        raise ClusterError("; ".join(differences))


def _apply_stages(plane: ControlPlane) -> None:
    text = (resources.files(__package__) / "stages.yaml").read_text()
    stages = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    if not retrying.until(
        functools.partial(_stages_served, plane), timeout_s=READY_TIMEOUT_S
    ):
        raise ClusterError("the API server does not serve KWOK's Stage objects")
    # Applied, not created: the API server holds back a create by two seconds while
    # a CRD is younger than that (apiextensions-apiserver,
    # customresource_handler.go).
    plane.api.each(
        functools.partial(
            plane.api.apply, f"{_STAGES_PATH}/{stage['metadata']['name']}", stage
        )
        for stage in stages
    )


def _stages_served(plane: ControlPlane) -> bool:
    return plane.api.get_or_none(_STAGES_PATH) is not None


def _sign(plane: ControlPlane) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _FINGERPRINT, "namespace": "kube-system"},
        "data": {
            "fingerprint": plane.entry.fingerprint,
            "name": plane.entry.name,
            "key": plane.entry.key,
        },
    }
    plane.api.create(_CONFIG_MAPS, body)


def check_ours(plane: ControlPlane) -> None:
    """
    Return when the cluster carries our fingerprint.

    Raises:
        ClusterError: It does not answer, or carries another or none.

    """
    found = plane.api.get_or_none(FINGERPRINT_PATH)
    value = (found or {}).get("data", {}).get("fingerprint")
    if value != plane.entry.fingerprint:
        raise ClusterError(
            f"the cluster at {plane.endpoint.server} carries the fingerprint "
            f"{value!r}, not that of {plane.entry.name!r}: it is not ours to break"
        )
