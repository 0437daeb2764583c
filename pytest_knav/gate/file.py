"""The gate's file read: each error with its line and field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_knav.durations import seconds
from pytest_knav.errors import BadInput
from pytest_knav.gate.cover import check_name
from pytest_knav.gate.rules import Gate, RecoveryRule
from pytest_knav.topology.lines import Lines


if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from pytest_knav.gate.schema import GateFile


_EXAMPLE: Final = "must_cover: [node.crash]"
# What a field is, where something of another kind stands in its place.
_SHAPES: Final = {
    "new_failures": "how many of which severity may be, such as {critical: 0}",
    "must_cover": "a list of faults, such as [node.crash, gpu.xid]",
    "recovery_p95": "what it is held to, such as {at_most: 60s}",
}


def load_gate(path: Path) -> Gate:
    """
    Return what a file asks for.

    Raises:
        BadInput: There is no such file, or something in it is wrong: with the line and
            the field.

    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"gate {path}: {error.strerror}: give a file that says what a merge needs, "
            f"such as `{_EXAMPLE}`"
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"gate {path} is no text: {error}") from error
    lines = Lines(path, text, example=_EXAMPLE)
    file = _parsed(lines)
    for at, name in enumerate(file.must_cover):
        try:
            check_name(name)
        except BadInput as error:
            lines.fail(lines.place_of(("must_cover", at)), str(error))
    return Gate(
        inconclusive=file.inconclusive,
        broken=file.broken,
        flaky=file.flaky,
        new_failures={str(k): most for k, most in file.new_failures.items()},
        must_cover=tuple(file.must_cover),
        recovery_p95=_recovery(lines, file),
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of gate files, for editors."""
    from pytest_knav.gate.schema import GateFile  # noqa: PLC0415 - pydantic

    return GateFile.model_json_schema()


def _parsed(lines: Lines) -> GateFile:
    import pydantic  # noqa: PLC0415 - heavy, and only files need it

    from pytest_knav.gate.schema import GateFile  # noqa: PLC0415 - likewise

    try:
        return GateFile.model_validate(lines.data)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        lines.fail(lines.place_of(first["loc"]), _message(first))


def _message(error: ErrorDetails) -> str:
    from pytest_knav.gate.schema import (  # noqa: PLC0415 - pydantic
        GateFile,
        RecoveryFile,
    )

    field, *inner = error["loc"]
    if error["type"] == "extra_forbidden":
        model = RecoveryFile if inner else GateFile
        return f"there is no such field: use {', '.join(model.model_fields)}"
    if not inner and field in _SHAPES:
        return f"{error['input']!r}: give {_SHAPES[str(field)]}"
    message = f"{error['msg'][:1].lower()}{error['msg'][1:]}"
    return f"{message}, and not {error['input']!r}"


def _recovery(lines: Lines, file: GateFile) -> RecoveryRule | None:
    rule = file.recovery_p95
    if rule is None:
        return None
    if rule.at_most is None and rule.vs is None:
        lines.fail(
            lines.place_of(("recovery_p95",)), "give at_most, or vs, or both of them"
        )
    try:
        at_most_s = None if rule.at_most is None else seconds(rule.at_most)
    except BadInput as error:
        lines.fail(lines.place_of(("recovery_p95", "at_most")), str(error))
    share = _share(rule.worse_by)
    if share is None:
        lines.fail(
            lines.place_of(("recovery_p95", "worse_by")),
            f"{rule.worse_by!r}: give a share such as 10% or 0.1; for more than twice "
            "as slow write 150%",
        )
    return RecoveryRule(
        at_most_s=at_most_s, vs=rule.vs or "", worse_by=share, samples=rule.samples
    )


def _share(value: str | float) -> float | None:
    """Return a share of `10%` or `0.1`; None for what is none."""
    text = str(value).strip()
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        return None
    # Whoever writes 10 means 10 %, and not ten times as much.
    percent = text.endswith("%")
    share = number / 100 if percent else number
    return share if 0 <= share <= (10 if percent else 1) else None
