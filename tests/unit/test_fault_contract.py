"""What a fault leaves behind is found, whatever kind of object it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_knav.faults import contract


if TYPE_CHECKING:
    from pathlib import Path

    from pytest_knav import Cluster

NODE = "/registry/minions/dgx-h100-0000"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Return the keys of a store that a test may change, with their revisions."""
    stored = {NODE: 5}

    def etcd(url: str) -> SimpleNamespace:
        assert url == "http://127.0.0.1:2379"
        return SimpleNamespace(
            marks=lambda: SimpleNamespace(written=dict(stored)), close=lambda: None
        )

    monkeypatch.setattr(contract, "Etcd", etcd)
    return stored


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Return a cluster without components, with an empty directory."""
    plane = SimpleNamespace(
        api=SimpleNamespace(get_or_none=lambda _path: None),
        components={},
        network=None,
        entry=SimpleNamespace(directory=tmp_path),
        etcd_url="http://127.0.0.1:2379",
    )
    return cast("Any", SimpleNamespace(plane=plane))


@pytest.mark.parametrize(
    "key",
    [
        "/registry/validatingwebhookconfigurations/knav-down",
        "/registry/services/specs/default/knav",
        "/registry/leases/kube-system/kube-scheduler",
        "/registry/kwok.x-k8s.io/stages/pod-slow",
    ],
)
def test_an_object_of_any_kind_that_is_left_is_told(
    cluster: Cluster, keys: dict[str, int], key: str
) -> None:
    """It is found by the store's own name, without a list of kinds."""
    before = contract.standing(cluster)
    keys[key] = 9

    told = contract.difference(before, contract.standing(cluster))

    assert key.removeprefix("/registry/") in told


def test_an_object_that_was_taken_away_is_told(
    cluster: Cluster, keys: dict[str, int]
) -> None:
    """A fault that loses a node for good is no better than one that leaves one."""
    before = contract.standing(cluster)
    del keys[NODE]

    told = contract.difference(before, contract.standing(cluster))

    assert "minions/dgx-h100-0000" in told


@pytest.mark.parametrize(
    "key",
    [
        "/registry/events/default/work-1.17a",
        "/registry/leases/kube-node-lease/dgx-h100-0000",
        "/registry/pods/default/work-1",
    ],
)
def test_what_comes_and_goes_by_itself_is_not_told(
    cluster: Cluster, keys: dict[str, int], key: str
) -> None:
    """Events are written, pods are made again, leases come with their nodes."""
    before = contract.standing(cluster)
    keys[key] = 9

    told = contract.difference(before, contract.standing(cluster))

    assert told == ""


def test_a_file_that_is_left_is_told(
    cluster: Cluster, keys: dict[str, int], tmp_path: Path
) -> None:
    """Logs and stores grow; anything else is not there by itself."""
    keys["/registry/configmaps/default/one"] = 3
    before = contract.standing(cluster)
    (tmp_path / "left.yaml").write_text("")

    told = contract.difference(before, contract.standing(cluster))

    assert "left.yaml" in told
