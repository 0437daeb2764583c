"""The fields of a system's YAML file."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProcessFile(_Strict):
    """One process; see `pytest_knav.SystemProcess`."""

    name: str
    binary: str
    args: list[str] = Field(default_factory=list)
    env: dict[str, str] = Field(default_factory=dict)
    ready: str = ""
    workdir: str = ""
    mounts: dict[str, str] = Field(default_factory=dict)
    metrics: str = ""


class SystemFile(_Strict):
    """A system; see `pytest_knav.System`. Relative paths are relative to the file."""

    name: str
    binary: str = ""
    args: list[str] = Field(default_factory=list)
    env: dict[str, str] = Field(default_factory=dict)
    ready: str = ""
    workdir: str = ""
    mounts: dict[str, str] = Field(default_factory=dict)
    metrics: str = ""
    processes: list[ProcessFile] = Field(default_factory=list)
    files: dict[str, str] = Field(default_factory=dict)
    manifests: list[str | dict[str, Any]] = Field(default_factory=list)
    skip: list[str] = Field(default_factory=list)
    webhooks: str | dict[str, str] = ""
    webhooks_first: bool = False
    dialect: str = "native"
    queue: str = ""
    scheduler_name: str = ""
    replaces: list[str] = Field(default_factory=list)
    start_timeout: str | float = "60s"
