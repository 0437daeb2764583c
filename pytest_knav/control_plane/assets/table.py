"""
The one table of pinned versions: what each asset is and where it can come from.

Layouts of the releases, as their makers publish them:

- Kubernetes: ``dl.k8s.io/release/v…/bin/linux/<arch>/<name>`` with ``<name>.sha256``
  (the bare hash) beside it; https://kubernetes.io/releases/download/.
- etcd, Prometheus, toxiproxy: a GitHub release with one file of ``sha256  name`` lines
  (``SHA256SUMS``, ``sha256sums.txt``, ``checksums.txt``).
- KWOK and metrics-server publish no checksum file. GitHub computes a digest of every
  file when it is uploaded and serves it as ``assets[].digest`` of the release
  (https://docs.github.com/en/rest/releases/releases#get-a-release-by-tag-name, since
  June 2025). That one is used; without it the download is not used and the asset is
  built.

The Go modules are pinned by the ``go.mod`` and ``go.sum`` in ``control_plane/modules``.
"""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from pytest_knav.errors import AssetError, BadInput


KUBERNETES: Final = "1.36.3"
GO_WHEEL: Final = "1.26.6"
MODULES: Final = Path(__file__).parent.parent / "modules"

_STRIP = "-s -w"
_KUBE_VERSION = "k8s.io/component-base/version"
_ARCHITECTURES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
}
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+(?:-[0-9a-z.]+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """
    Where a release publishes a file and its checksum.

    Paths begin with the host, have no scheme, and ``{version}`` and ``{arch}`` in them.
    ``form`` says what the checksum path serves: the bare hash, lines of hash and file
    name, or GitHub's JSON description of the release.
    """

    path: str
    checksum: str
    form: Literal["hash", "lines", "github"]
    member: str | None = None
    mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """How to build an asset: folder of its pinned go.mod, package, flags, cold time."""

    directory: str
    package: str
    ldflags: str = _STRIP
    tags: str = ""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """
    A binary, in one version.

    Attributes:
        release: Where it is published; None where that is only as an image.
        module: How it is built; None where only its release will do.

    """

    name: str
    version: str
    release: Release | None
    module: Module | None

    def slot(self, arch: str) -> str:
        """Return the name of its directory in the cache."""
        return f"{self.name}-{self.version}-linux-{arch}"


def _kubernetes(name: str, *, mib: int, seconds: float) -> Asset:
    path = f"dl.k8s.io/release/v{{version}}/bin/linux/{{arch}}/{name}"
    major, minor, _ = KUBERNETES.split(".")
    flags = (
        f"{_STRIP} -X {_KUBE_VERSION}.gitVersion=v{KUBERNETES} "
        f"-X {_KUBE_VERSION}.gitMajor={major} -X {_KUBE_VERSION}.gitMinor={minor}"
    )
    return Asset(
        name=name,
        version=KUBERNETES,
        release=Release(path=path, checksum=f"{path}.sha256", form="hash", mib=mib),
        module=Module(
            directory="kubernetes",
            package=f"k8s.io/kubernetes/cmd/{name}",
            ldflags=flags,
            seconds=seconds,
        ),
    )


def _github_digest(repository: str, file: str, *, mib: int) -> Release:
    return Release(
        path=f"github.com/{repository}/releases/download/v{{version}}/{file}",
        checksum=f"api.github.com/repos/{repository}/releases/tags/v{{version}}",
        form="github",
        mib=mib,
    )


def _github_lines(
    repository: str, file: str, sums: str, *, mib: int, member: str | None = None
) -> Release:
    base = f"github.com/{repository}/releases/download/v{{version}}"
    return Release(
        path=f"{base}/{file}",
        checksum=f"{base}/{sums}",
        form="lines",
        member=member,
        mib=mib,
    )


def _kwok(name: str, *, mib: int, seconds: float) -> Asset:
    return Asset(
        name=name,
        version="0.8.0",
        release=_github_digest(
            "kubernetes-sigs/kwok", f"{name}-linux-{{arch}}", mib=mib
        ),
        module=Module(
            directory="kwok",
            package=f"sigs.k8s.io/kwok/cmd/{name}",
            ldflags=f"{_STRIP} -X sigs.k8s.io/kwok/pkg/consts.Version=0.8.0",
            seconds=seconds,
        ),
    )


# Seconds are of a cold build on two cores, each after the ones above it: assets of one
# module share most of their packages, so the first pays for all.
_TABLE: Final = (
    Asset(
        name="etcd",
        version="3.6.12",
        release=_github_lines(
            "etcd-io/etcd",
            "etcd-v{version}-linux-{arch}.tar.gz",
            "SHA256SUMS",
            member="etcd-v{version}-linux-{arch}/etcd",
            mib=24,
        ),
        module=Module(
            directory="etcd", package="go.etcd.io/etcd/server/v3", seconds=60
        ),
    ),
    _kubernetes("kube-apiserver", mib=85, seconds=230),
    _kubernetes("kube-controller-manager", mib=72, seconds=70),
    _kubernetes("kube-scheduler", mib=50, seconds=50),
    _kwok("kwok", mib=88, seconds=60),
    _kwok("kwokctl", mib=78, seconds=20),
    Asset(
        name="prometheus",
        version="3.12.0",
        release=_github_lines(
            "prometheus/prometheus",
            "prometheus-{version}.linux-{arch}.tar.gz",
            "sha256sums.txt",
            member="prometheus-{version}.linux-{arch}/prometheus",
            mib=125,
        ),
        module=Module(
            directory="prometheus",
            package="github.com/prometheus/prometheus/cmd/prometheus",
            ldflags=f"{_STRIP} -X github.com/prometheus/common/version.Version=3.12.0",
            # builtinassets is left out: the assets of the UI are not in the module.
            tags="netgo,remove_all_sd,enable_kubernetes_sd",
            seconds=270,
        ),
    ),
    Asset(
        name="metrics-server",
        version="0.9.0",
        release=_github_digest(
            "kubernetes-sigs/metrics-server", "metrics-server-linux-{arch}", mib=78
        ),
        module=Module(
            directory="metrics-server",
            package="sigs.k8s.io/metrics-server/cmd/metrics-server",
            ldflags=f"{_STRIP} -X k8s.io/client-go/pkg/version.gitVersion=v0.9.0",
            seconds=170,
        ),
    ),
    Asset(
        name="toxiproxy-server",
        version="2.12.0",
        release=_github_lines(
            "Shopify/toxiproxy",
            "toxiproxy-server-linux-{arch}",
            "checksums.txt",
            mib=11,
        ),
        module=Module(
            directory="toxiproxy",
            package="github.com/Shopify/toxiproxy/v2/cmd/server",
            ldflags=f"{_STRIP} -X github.com/Shopify/toxiproxy/v2.Version=2.12.0",
            seconds=20,
        ),
    ),
    _kubernetes("kubectl", mib=58, seconds=60),
    Asset(
        name="descheduler",
        version="0.36.0",
        release=None,
        module=Module(
            directory="descheduler",
            package="sigs.k8s.io/descheduler/cmd/descheduler",
            ldflags=f"{_STRIP} -X sigs.k8s.io/descheduler/pkg/version.version=v0.36.0",
            seconds=180,
        ),
    ),
)
_BY_NAME: Final = {asset.name: asset for asset in _TABLE}

CONTROL_PLANE: Final = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "kwokctl",
    # kwokctl calls it when it makes a cluster.
    "kubectl",
)
# Systems to try things with: no cluster and no fixture needs them.
ON_REQUEST: Final = ("descheduler",)
ALL: Final = tuple(name for name in _BY_NAME if name not in ON_REQUEST)


def asset(name: str, *, kube_version: str = KUBERNETES) -> Asset:
    """
    Return one row of the table.

    Args:
        name: The binary.
        kube_version: The version of Kubernetes; only the pinned one can be built.

    Raises:
        BadInput: No asset has this name.

    """
    found = _BY_NAME.get(name)
    if found is None:
        raise BadInput(
            f"asset={name!r} is not known: the assets are {', '.join(_BY_NAME)}"
        )
    of_kubernetes = found.release is not None and "dl.k8s.io" in found.release.path
    if of_kubernetes and kube_version != KUBERNETES:
        return replace(found, version=kube_version, module=None)
    return found


def kubernetes_version(value: str | None) -> str:
    """Return the version without its ``v``; the pinned one when none is given."""
    if value is None:
        return KUBERNETES
    match = _VERSION.fullmatch(value)
    if match is None:
        raise BadInput(
            f"kube_version={value!r} is not a version of Kubernetes: "
            f"give all three numbers, as in {KUBERNETES}"
        )
    return match[1]


def architecture() -> str:
    """Return this machine's architecture as Go and the releases call it."""
    machine = platform.machine().lower()
    arch = _ARCHITECTURES.get(machine)
    if platform.system() != "Linux" or arch is None:
        raise AssetError(
            f"there are no assets for {platform.system()} on {machine}: "
            "the control plane runs on Linux on amd64 or arm64"
        )
    return arch
