"""The load of a topology: what is put into the store for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from pytest_knav.control_plane.state import begin_load
from pytest_knav.errors import BadInput
from pytest_knav.topology import make_topology


if TYPE_CHECKING:
    from pytest_knav.control_plane.plane import ControlPlane

NO_PLANE = cast("ControlPlane", None)
CONTAINER = {"name": "c", "image": "i"}


def with_load(*items: object) -> Any:
    """Return a topology that begins with objects."""
    load = yaml.safe_dump({"kind": "List", "items": list(items)})
    return replace(make_topology("dgx-h100", 1), load=load)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what goes the bulk road."""
    found: list[Any] = []
    monkeypatch.setattr(
        begin_load.loading, "load", lambda _, objects: found.extend(objects)
    )
    return found


def pod(**spec: Any) -> dict[str, Any]:
    """Return a pod."""
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [CONTAINER], **spec},
    }  # fmt: skip


def test_pods_with_a_node_run_and_others_wait(loaded: list[Any]) -> None:
    """Every container has a state; no two pods have one address."""
    side = {**CONTAINER, "name": "side", "restartPolicy": "Always"}
    first = {**CONTAINER, "name": "first"}
    bound = pod(nodeName="n", initContainers=[side, first])

    begin_load.put_load(NO_PLANE, with_load(bound, pod(), bound))

    running, waiting, other = loaded
    conditions = {one["type"]: one["status"] for one in running["status"]["conditions"]}
    states = [one["state"] for one in running["status"]["initContainerStatuses"]]
    assert running["status"]["phase"] == "Running"
    assert conditions["Ready"] == conditions["PodScheduled"] == "True"
    assert [list(state) for state in states] == [["running"], ["terminated"]]
    assert running["status"]["podIP"] != other["status"]["podIP"]
    assert "status" not in waiting


def test_a_status_that_is_given_stays(loaded: list[Any]) -> None:
    """Whoever writes a load by hand may say how a pod is."""
    given = {**pod(nodeName="n"), "status": {"phase": "Pending"}}

    begin_load.put_load(NO_PLANE, with_load(given))

    assert loaded[0]["status"] == {"phase": "Pending"}


@pytest.mark.parametrize("load", ["[1, 2]", "items: 5", "items: [5]", "a: ["])
def test_what_is_no_list_of_objects_is_refused(load: str) -> None:
    """The message names the topology."""
    topology = replace(make_topology("dgx-h100", 1), load=load)

    with pytest.raises(BadInput, match="load of topology 'dgx-h100'"):
        begin_load.put_load(NO_PLANE, topology)


def test_a_load_and_devices_exclude_each_other() -> None:
    """A GPU would be taken twice: by a pod's amount and as a device."""
    topology = replace(with_load(pod()), dra=True)

    with pytest.raises(BadInput, match="leave dra=True away"):
        begin_load.put_load(NO_PLANE, topology)


def test_the_load_belongs_to_the_topology() -> None:
    """Another load is another beginning, for the cache and for the next test."""
    one, other = with_load(pod()), with_load(pod(), pod())

    assert one != other
    assert one.fingerprint != other.fingerprint
