"""Hooks that other plugins and conftest files may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from pytest_knav.control_plane.cluster import Cluster
    from pytest_knav.plans.chaos import ActiveFault


def pytest_knav_cluster_ready(cluster: Cluster) -> None:
    """
    Tell that a cluster is up, recorded, and about to be handed to a test.

    .. versionadded:: 0.1
    """


def pytest_knav_fault_injected(cluster: Cluster, fault: ActiveFault) -> None:
    """
    Tell that the effect of a fault has been observed.

    .. versionadded:: 0.1
    """


def pytest_knav_fault_cleared(cluster: Cluster, fault: ActiveFault) -> None:
    """
    Tell that a fault has been taken back.

    .. versionadded:: 0.1
    """
