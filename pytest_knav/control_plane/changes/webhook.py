"""Seeing that an admission webhook is in force."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane.changes.base import Lasting, known
from pytest_knav.history.connection import ApiError, ConnectionLost


if TYPE_CHECKING:
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History

_PROBE: Final = "pytest-knav-webhook-probe"
_PATH: Final = "/api/v1/namespaces/default/configmaps"
_REFUSED: Final = "failed calling webhook"


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Refusing(Lasting):
    """
    The API server asks a webhook that does not answer: nothing is written for it.

    The API server goes by a new configuration a moment after it was written, so what
    is seen is a creation that is refused; it is a dry run.

    Attributes:
        because: What the API server says beside that; empty for anything.

    """

    op: ClassVar[str] = "refusing"

    because: str = ""

    @property
    def lane(self) -> str:
        """Return what is tried."""
        return _PROBE

    @staticmethod
    def selection() -> dict[str, Any]:
        """Return the part of a webhook that selects what is tried, and no more."""
        return {
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "resources": ["configmaps"],
                    "operations": ["CREATE"],
                }
            ],
            "matchConditions": [
                {"name": "probe", "expression": f"object.metadata.name == '{_PROBE}'"}
            ],
        }

    def describe(self) -> str:
        """Return what the API server should say."""
        because = f", {self.because}" if self.because else ""
        return f"the API server refuses a creation: {_REFUSED}{because}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Do nothing."""
        del plane
        return None

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether a creation is refused for the webhook."""
        del history
        return _refused(plane, self.because)

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it is refused no more."""
        del history
        return not _refused(plane, self.because)


def _refused(plane: ControlPlane, because: str) -> bool:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _PROBE, "namespace": "default"},
    }
    # Not by `plane.api`: it would try a refusal like this one again and again.
    with closing(plane.transport()) as transport:
        try:
            transport.create(f"{_PATH}?dryRun=All", body)
        except ApiError as error:
            said = str(error)
            return _REFUSED in said and because in said
        except ConnectionLost:
            return False
    return False
