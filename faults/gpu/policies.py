"""
What becomes of a GPU, its pod and its node after an XID: tables that users replace.

`nvidia` is the column "immediate action" of NVIDIA's XID catalogue for A100 and newer,
where it names one; 48 alone resets the GPU, the workflows of NVLink errors (74, 144 to
150) end in a reset. `eks` is the list of fatal XIDs of the EKS node monitoring agent,
which replaces the node for each of them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Mapping


class Action(StrEnum):
    """What an XID asks for, as NVIDIA's catalogue names it; the mildest first."""

    IGNORE = "ignore"
    RESTART_APP = "restart app"
    RESET_GPU = "reset gpu"
    RESTART_BM = "reboot node"
    REPLACE = "replace node"


def _table(rows: Mapping[Action, tuple[int, ...]]) -> dict[int, Action]:
    return {code: action for action, codes in rows.items() for code in codes}


_FATAL_ON_EKS: Final = (
    *(46, 48, 54, 62, 63, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 142, 143),
    *(151, 155, 156, 158),
)
POLICIES: Final[dict[str, Mapping[int, Action]]] = {
    "nvidia": _table(
        {
            Action.IGNORE: (43, 45, 63, 92, 137, 157),
            Action.RESTART_APP: (11, 13, 25, 31, 32, 94),
            Action.RESET_GPU: (
                *(46, 48, 62, 64, 74, 95, 109, 110, 119, 120, 136, 140, 143),
                *(144, 145, 146, 147, 148, 149, 150, 155, 156, 158),
            ),
            Action.RESTART_BM: (79,),
        }
    ),
    "eks": _table(
        {
            Action.IGNORE: (43, 45, 92, 137),
            Action.RESTART_APP: (11, 13, 25, 31, 32, 94),
            Action.REPLACE: _FATAL_ON_EKS,
        }
    ),
}


def action_for(code: int, policy: str | Mapping[int, Action | str]) -> Action:
    """
    Return what an XID asks for.

    Raises:
        BadInput: There is no such policy, or it says nothing of the XID.

    """
    if isinstance(policy, str) and policy not in POLICIES:
        raise BadInput(
            f"policy={policy!r} is unknown: use one of {', '.join(POLICIES)}, or give "
            "a mapping of XIDs to actions"
        )
    table = POLICIES[policy] if isinstance(policy, str) else policy
    if code not in table:
        codes = ", ".join(map(str, sorted(table)))
        raise BadInput(f"XID {code!r} is not in the policy: it has {codes}")
    try:
        return Action(table[code])
    except ValueError as error:
        actions = ", ".join(Action)
        raise BadInput(
            f"policy: XID {code} has the action {table[code]!r}: use one of {actions}"
        ) from error
