"""Certificates and keys as files, and what a certificate says."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from dock.aws.service import AwsError
from dock.certificates import write_private


@dataclass(frozen=True, slots=True)
class Material:
    """What a load balancer serves: `chain` begins with the certificate itself; both are PEM."""

    chain: bytes
    key: bytes


class Vault:
    """One folder for each certificate, which only the dock's own user may enter."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder(self, identifier: str) -> Path:
        return self._folder / identifier

    def keep(self, identifier: str, material: Material) -> None:
        """Durable when this returns."""
        folder = self.folder(identifier)
        folder.mkdir(parents=True, exist_ok=True)
        write_private(folder / "server.key", material.key)
        write_private(folder / "server.pem", material.chain)

    def read(self, identifier: str) -> Material:
        """Raises OSError when there is none."""
        folder = self.folder(identifier)
        return Material((folder / "server.pem").read_bytes(), (folder / "server.key").read_bytes())

    def remove(self, identifier: str) -> None:
        shutil.rmtree(self.folder(identifier), ignore_errors=True)


def imported(certificate: bytes, key: bytes, chain: bytes | None) -> Material:
    """What somebody imports, checked. Raises AwsError."""
    try:
        own = x509.load_pem_x509_certificate(certificate)
    except ValueError:
        raise AwsError("ValidationException", "The certificate field contains no PEM-encoded certificate.") from None
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise AwsError("ValidationException", "The private key is not PEM-encoded, or it is encrypted.") from None
    public = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*public) != own.public_key().public_bytes(*public):
        raise AwsError("ValidationException", "The certificate and the private key do not belong together.")
    now = dt.datetime.now(dt.UTC)
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        raise AwsError("ValidationException", "The certificate is not valid now.")
    if chain is not None:
        try:
            x509.load_pem_x509_certificates(chain)
        except ValueError:
            raise AwsError("ValidationException", "The certificate chain is not PEM-encoded.") from None
    return Material(certificate.rstrip() + b"\n" + (chain or b""), key)


def names(certificate: x509.Certificate) -> list[str]:
    """The host names that a certificate is for, its subject's first."""
    found = [str(entry.value) for entry in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found += san.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        pass
    return list(dict.fromkeys(name for name in found if name != "localhost")) or ["localhost"]


def described(material: Material) -> dict[str, Any]:
    """What DescribeCertificate says of a certificate that is there."""
    certificate = x509.load_pem_x509_certificate(material.chain)
    public = certificate.public_key()
    algorithm = "EC_prime256v1"
    if isinstance(public, rsa.RSAPublicKey):
        algorithm = f"RSA_{public.key_size}"
    elif isinstance(public, ec.EllipticCurvePublicKey):
        algorithm = {"secp256r1": "EC_prime256v1"}.get(public.curve.name, f"EC_{public.curve.name}")
    digest = certificate.signature_hash_algorithm
    kind = "RSA" if isinstance(public, rsa.RSAPublicKey) else "ECDSA"
    serial = f"{certificate.serial_number:x}"
    serial = serial.zfill(len(serial) + len(serial) % 2)
    return {
        "Serial": ":".join(serial[at : at + 2] for at in range(0, len(serial), 2)),
        "Subject": certificate.subject.rfc4514_string(),
        "Issuer": ", ".join(str(entry.value) for entry in certificate.issuer) or "unknown",
        "NotBefore": certificate.not_valid_before_utc.timestamp(),
        "NotAfter": certificate.not_valid_after_utc.timestamp(),
        "KeyAlgorithm": algorithm,
        "SignatureAlgorithm": f"{digest.name.upper() if digest else 'SHA256'}WITH{kind}",
    }
