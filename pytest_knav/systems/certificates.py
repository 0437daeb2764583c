"""A certificate authority of one system, and the certificate its processes serve."""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_VALID_FOR: Final = timedelta(days=30)
# A clock that was set back a little makes nothing invalid.
_BACKDATED: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingFiles:
    """A directory with `tls.crt`, `tls.key` and `ca.crt`, as managers expect them."""

    directory: Path

    @property
    def ca_bundle(self) -> str:
        """Return the authority's certificate as webhook configurations hold it."""
        return base64.b64encode((self.directory / "ca.crt").read_bytes()).decode()


def make_serving_files(directory: Path, names: Iterable[str] = ()) -> ServingFiles:
    """
    Write a new authority and a certificate for loopback that it has signed.

    Args:
        directory: Where to; made if need be, readable by the user alone.
        names: More DNS names, such as those of the services in front of webhooks.

    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _named("pytest-knav system CA")
    authority = (
        _builder(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    hosts: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.DNSName("localhost"),
        *(x509.DNSName(name) for name in names),
    ]
    served = (
        _builder(_named("localhost"), ca_name, key.public_key())
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for name, data in (
        ("ca.crt", authority.public_bytes(pem)),
        ("tls.crt", served.public_bytes(pem)),
        ("tls.key", private),
    ):
        path = directory / name
        path.touch(mode=0o600)
        path.write_bytes(data)
    return ServingFiles(directory=directory)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _VALID_FOR)
    )
