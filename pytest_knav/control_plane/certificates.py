"""Certificates of a cluster that are right in everything but their time."""

from __future__ import annotations

import base64
import http.client
import ssl
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pytest_knav.control_plane import kwokctl, overrides
from pytest_knav.control_plane.overrides import HERE, Override
from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import (
        CertificatePublicKeyTypes,
    )

    from pytest_knav.control_plane.components import Component
    from pytest_knav.control_plane.plane import ControlPlane

# Its name among the files of an override.
FILE: Final = "expiring.crt"
_KUBECONFIG: Final = "kubeconfig.yaml"
SERVER: Final = "kube-apiserver"
_CERT_HAS_EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED, openssl x509_vfy.h
#: What Go says of it (crypto/x509, CertificateInvalidError).
HAS_EXPIRED: Final = "certificate has expired"
# When authorities of `ended_bundle` were good: long ago, and the same each time.
_LONG_AGO: Final = datetime(2001, 1, 1, tzinfo=UTC)
_TIMEOUT_S: Final = 3.0
_PATH: Final = "/api/v1/namespaces?limit=1"


def expiring(workdir: Path, component: Component, valid_for_s: float) -> Override:
    """
    Return what a component is started with, so that its certificate ends soon.

    Args:
        workdir: kwokctl's directory of the cluster, with its authority.
        component: The API server, or one that has a kubeconfig of its own by a flag.
        valid_for_s: How long the certificate is good; times are whole seconds.

    """
    pki = workdir / "pki"
    ends = datetime.now(UTC) + timedelta(seconds=valid_for_s)
    if component.name == SERVER:
        path = kwokctl.flag_value(component.command, "tls-cert-file")
        text = _reissued(pki, (pki / "admin.crt") if path is None else path, ends)
        flags = {"tls-cert-file": f"{HERE}/{FILE}"}
        return Override(flags=flags, files={FILE: text})
    kubeconfig = kwokctl.flag_value(component.command, "kubeconfig")
    if kubeconfig is None:
        raise ClusterError(f"{component.name} has no --kubeconfig: its file is unknown")
    document = yaml.load(_text(kubeconfig), Loader=yaml.CSafeLoader)
    user = document["users"][0]["user"]
    text = _reissued(pki, user["client-certificate"], ends)
    here = overrides.directory(workdir, component.name)
    user["client-certificate"] = str(here / FILE)
    files = {FILE: text, _KUBECONFIG: yaml.safe_dump(document)}
    return Override(flags={"kubeconfig": f"{HERE}/{_KUBECONFIG}"}, files=files)


def refused(plane: ControlPlane, component: Component) -> bool:
    """Return whether a component's certificate of an override is good no more."""
    if FILE not in component.override.files:
        return False
    if component.name == SERVER:
        return _expired_for_clients(plane)
    here = overrides.directory(plane.workdir, component.name)
    context = ssl.create_default_context(cafile=plane.endpoint.ca_file)
    context.load_cert_chain(here / FILE, plane.endpoint.key_file)
    return _status(plane, context) == http.client.UNAUTHORIZED


def ended_bundle(bundle: str) -> str:
    """
    Return a `caBundle` whose authorities are the same, with an end in the past.

    The same bundle gives the same one each time.

    Raises:
        BadInput: It holds no certificates that can be read.

    """
    try:
        found = x509.load_pem_x509_certificates(base64.b64decode(bundle))
    except ValueError as error:
        raise BadInput(f"a caBundle cannot be read: {error}") from error
    return _bundle(*(_ended(one.subject, one.public_key()) for one in found))


def ended_authority(workdir: Path) -> str:
    """Return the authority of a cluster as a `caBundle`, with an end in the past."""
    pki = workdir / "pki"
    issuer = x509.load_pem_x509_certificate(_text(pki / "admin.crt").encode()).issuer
    key = serialization.load_pem_private_key((pki / "ca.key").read_bytes(), None)
    return _bundle(_ended(issuer, key.public_key()))  # type: ignore[arg-type]


def _ended(subject: x509.Name, key: CertificatePublicKeyTypes) -> x509.Certificate:
    # Nobody has the key of somebody else's authority, and none is needed: of an
    # authority that is trusted Go does not look at the signature (crypto/x509,
    # Certificate.Verify), but at its end. A signer that is known makes it repeatable.
    signer = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key)
        .serial_number(1)
        .not_valid_before(_LONG_AGO - timedelta(days=365))
        .not_valid_after(_LONG_AGO)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(signer, None)
    )


def _bundle(*found: x509.Certificate) -> str:
    pem = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in found)
    return base64.b64encode(pem).decode()


def _expired_for_clients(plane: ControlPlane) -> bool:
    context = ssl.create_default_context(cafile=plane.endpoint.ca_file)
    try:
        _status(plane, context)
    except ssl.SSLCertVerificationError as error:
        return error.verify_code == _CERT_HAS_EXPIRED
    return False


def _status(plane: ControlPlane, context: ssl.SSLContext) -> int:
    """Return what the API server answers; 0 while it does not."""
    port = plane.ports["kubeApiserverPort"]
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=_TIMEOUT_S, context=context
    )
    with closing(connection):
        try:
            connection.request("GET", _PATH)
            return connection.getresponse().status
        except ssl.SSLCertVerificationError:
            raise
        except (OSError, http.client.HTTPException):
            return 0


def _reissued(pki: Path, path: Path | str, ends: datetime) -> str:
    """Return a certificate that is another one with another end, as PEM."""
    before = x509.load_pem_x509_certificate(_text(path).encode())
    key = serialization.load_pem_private_key((pki / "ca.key").read_bytes(), None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ClusterError(f"{pki / 'ca.key'} is of a kind that cannot sign here")
    builder = (
        x509.CertificateBuilder()
        .subject_name(before.subject)
        # The authority's own certificate has the serial number 0, which RFC 5280 does
        # not allow and `cryptography` will not read.
        .issuer_name(before.issuer)
        .public_key(before.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(before.not_valid_before_utc, ends - timedelta(days=365)))
        .not_valid_after(ends)
    )
    for extension in before.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    made = builder.sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def _text(path: Path | str) -> str:
    with open(path) as file:  # noqa: PTH123 - a flag's value
        return file.read()
