"""A self-signed certificate for the page: browsers allow a microphone only over https."""

import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vtuber_cli import addresses
from vtuber_cli.processes import RunError

VALID_DAYS: Final = 800
"""Validity in days; iPhones reject certificates that are valid for more than 825."""

SPARE_DAYS: Final = 30
"""A certificate is replaced this many days before it expires."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Paths of the PEM files, and the SHA-256 fingerprint that users compare."""

    certificate: Path
    key: Path
    fingerprint: str


def own(folder: Path, host: str, *, now: datetime | None = None) -> Certificate:
    """Return the certificate in `folder`. Raises RunError.

    A new one is created if it lacks a present name or address of this machine, or expires soon.
    """
    moment = now or datetime.now(UTC)
    names = _names(host)
    path, key = folder / "cert.pem", folder / "key.pem"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = _kept(path, key, names, moment)
        if kept is None:
            kept = _make(path, key, names, moment)
    except OSError as error:
        raise RunError(f"no certificate can be stored in {folder} ({error.strerror}).") from error
    return Certificate(path, key, kept.fingerprint(hashes.SHA256()).hex(":").upper())


def _names(host: str) -> list[str]:
    """Return the names and addresses by which this machine is reached."""
    machine = socket.gethostname()
    found = [
        "localhost",
        machine,
        f"{machine}.local",
        addresses.LOOPBACK,
        "::1",
        addresses.of_this_machine(),
        addresses.local_host(host),
    ]
    return sorted({name for name in found if name and len(name) < 64})


def _kept(path: Path, key: Path, names: Sequence[str], moment: datetime) -> x509.Certificate | None:
    if not (path.is_file() and key.is_file()):
        return None
    try:
        kept = x509.load_pem_x509_certificate(path.read_bytes())
        covered = kept.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (ValueError, TypeError, x509.ExtensionNotFound):
        return None
    fits = (
        all(_general(name) in covered for name in names)
        and private.public_key() == kept.public_key()
    )
    return kept if fits and kept.not_valid_after_utc - moment > timedelta(days=SPARE_DAYS) else None


def _make(path: Path, key: Path, names: Sequence[str], moment: datetime) -> x509.Certificate:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"vtuber on {socket.gethostname()}"[:64])]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=1))
        .not_valid_after(moment + timedelta(days=VALID_DAYS))
        .add_extension(
            x509.SubjectAlternativeName([_general(each) for each in names]), critical=False
        )
        # Phones let users trust only a CA certificate. This one may sign only itself.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    _write(key, private.private_bytes(encoding, form, serialization.NoEncryption()))
    _write(path, made.public_bytes(encoding))
    return made


def _write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
