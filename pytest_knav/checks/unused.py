"""
Exclusion that leaves no mark on a node: nothing is placed there any more.

It can only be told from what is placed elsewhere. Where pods come in a steady stream,
and a node that had some gets none while the others get several each, it is passed over.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final


#: So many pods for each other node, and none here. Were nodes chosen at random, the
#: chance of that would be below one in a thousand (e to the minus seven).
PASSED_OVER: Final = 7


@dataclass(slots=True)
class Unused:
    """
    Tells from bindings which nodes get no more pods; those that never had any do not.

    Attributes:
        nodes: The names of all nodes; to be filled.

    """

    nodes: set[str] = field(default_factory=set)
    _bindings: int = 0
    # By node: how many bindings there were, and when, at its last one; oldest first.
    _last: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)
    _out: set[str] = field(default_factory=set)

    def bound(self, node: str, at_s: float) -> tuple[bool, list[tuple[str, float]]]:
        """
        Take note of a binding.

        Returns:
            Whether the node was passed over until now, and the nodes that are found to
            be passed over since, each with when its last pod was placed.

        """
        self._bindings += 1
        back = node in self._out
        self._out.discard(node)
        self._last[node] = (self._bindings, at_s)
        self._last.move_to_end(node)
        found = []
        enough = PASSED_OVER * max(1, len(self.nodes) - 1)
        while self._last:
            name, (count, last_s) = next(iter(self._last.items()))
            if self._bindings - count < enough:
                break
            del self._last[name]
            self._out.add(name)
            found.append((name, last_s))
        return back, found
