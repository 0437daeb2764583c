"""Every fault by name: ours, and those that other packages bring."""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault
from pytest_knav.faults.expressions import parse_target


if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP: Final = "pytest_knav.faults"


def catalogue() -> dict[str, type[Fault]]:
    """
    Return every fault by its class's name: by family, then by name.

    Other packages bring theirs by an entry point of the group `pytest_knav.faults`
    that leads to a subclass of `Fault`.

    Raises:
        BadInput: An entry point leads to something else, or to a name that is taken.

    """
    from pytest_knav import faults  # noqa: PLC0415 - it imports this module's base

    found = {
        thing.__name__: thing
        for name in faults.__all__
        if _is_fault(thing := getattr(faults, name))
    }
    for point in entry_points(group=GROUP):
        thing = point.load()
        if not _is_fault(thing):
            raise BadInput(
                f"the entry point {point.name} = {point.value} of {GROUP} leads to "
                f"{thing!r}, which is no subclass of Fault"
            )
        if found.get(thing.__name__, thing) is not thing:
            raise BadInput(
                f"the entry point {point.name} = {point.value} of {GROUP} brings a "
                f"second fault of the name {thing.__name__}"
            )
        found[thing.__name__] = thing
    ordered = sorted(found.values(), key=lambda f: (f.card.family, f.__name__))
    return {fault.__name__: fault for fault in ordered}


def fault_from_data(data: Mapping[str, Any]) -> Fault:
    """
    Return the fault that `Fault.describe` wrote down.

    Raises:
        BadInput: There is no such fault, or it takes other parameters.

    """
    rest = dict(data)
    name, target = rest.pop("fault", None), rest.pop("target", "")
    kinds = catalogue()
    if name not in kinds:
        raise BadInput(f"fault {name!r} is unknown: use one of {', '.join(kinds)}")
    parameters = inspect.signature(kinds[name]).parameters
    unknown = sorted(set(rest) - set(parameters))
    if unknown:
        raise BadInput(
            f"{name}({unknown[0]}={rest[unknown[0]]!r}): it has no such parameter: "
            f"use {', '.join(parameters)}"
        )
    return kinds[name](target=parse_target(str(target)), **rest)


def _is_fault(thing: object) -> bool:
    return (
        inspect.isclass(thing)
        and issubclass(thing, Fault)
        and not inspect.isabstract(thing)
    )
