"""The dock's certificate authority, which stands for Amazon's own."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dock.home import Home

_SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
# Long enough that a dock left alone for a year still starts.
_VALIDITY = dt.timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Paths of a PEM certificate (leaf, then CA) and of its private key (mode 0600)."""

    certificate: Path
    key: Path


class CertificateAuthority:
    """Issues server certificates for loopback addresses; its own certificate is `home.certificate_authority`."""

    def __init__(self, home: Home) -> None:
        self._path = home.certificate_authority
        self._load(home)
        system = _SYSTEM_BUNDLE.read_bytes() if _SYSTEM_BUNDLE.exists() else b""
        _write(home.trust_bundle, self._path.read_bytes() + system, 0o644)

    def _load(self, home: Home) -> None:
        key_path = home.keys / "ca.key"
        if key_path.exists() and self._path.exists():
            key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            self._key = key
            self._certificate = x509.load_pem_x509_certificate(self._path.read_bytes())
            return
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Drydock local certificate authority")])
        self._certificate = (
            _builder(name, name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        write_private(key_path, _pem_key(self._key))
        _write(self._path, self._certificate.public_bytes(serialization.Encoding.PEM), 0o644)

    @property
    def path(self) -> Path:
        """The CA's own certificate, readable by all: what a client trusts."""
        return self._path

    def issue(
        self,
        folder: Path,
        common_name: str,
        addresses: list[str],
        owner: tuple[int, int] | None = None,
        names: Sequence[str] = (),
    ) -> Certificate:
        """A server certificate `server.pem` with `server.key` in `folder`, for these IP addresses, `localhost`, and
        host names (`*.` stands for one label).

        `owner` is the (uid, gid) that must be able to read the key. An existing pair for the same is kept.
        """
        paths = Certificate(folder / "server.pem", folder / "server.key")
        wanted: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        wanted += [x509.DNSName(name) for name in (*names, "localhost")]
        if not (paths.certificate.exists() and paths.key.exists() and _names(paths.certificate) == wanted):
            folder.mkdir(parents=True, exist_ok=True)
            key = ec.generate_private_key(ec.SECP256R1())
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
            certificate = (
                _builder(subject, self._certificate.subject, key.public_key())
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(_key_usage(authority=False), critical=True)
                .add_extension(x509.SubjectAlternativeName(wanted), critical=False)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
                )
                .sign(self._key, hashes.SHA256())
            )
            chain = certificate.public_bytes(serialization.Encoding.PEM) + self._path.read_bytes()
            write_private(paths.key, _pem_key(key))
            _write(paths.certificate, chain, 0o644)
        if owner is not None:
            for path in (paths.certificate, paths.key):
                os.chown(path, *owner)
        return paths


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads (0600), whole or not at all."""
    _write(path, content, 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + _VALIDITY)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _names(path: Path) -> list[x509.GeneralName]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return list(extension.value)
