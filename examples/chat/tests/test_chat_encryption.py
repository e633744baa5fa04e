"""TLS to database and cache, with certificates that are verified."""

import datetime
import ipaddress
import os
import pwd
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

pytestmark = pytest.mark.dock

TOKEN = "cache-canary-5521"


def authority(folder: Path, name: str) -> tuple[Path, ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(name, key.public_key(), name, key, ca=True)
    path = folder / f"{name}.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path, key, certificate


def _sign(subject: str, public_key, issuer: str, issuer_key, *, ca: bool = False) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )


@pytest.fixture
def certificates(own_postgres, own_redis):
    """Certificates for 127.0.0.1 beside each engine, and the authority that signed them."""
    ca, ca_key, _ = authority(own_redis.folder, "authority")
    for folder, owner in ((own_postgres.data, "postgres"), (own_redis.folder, None)):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign("127.0.0.1", key.public_key(), "authority", ca_key)
        (folder / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "server.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (folder / "server.key").chmod(0o600)
        if owner and os.geteuid() == 0:
            account = pwd.getpwnam(owner)
            for name in ("server.crt", "server.key"):
                os.chown(folder / name, account.pw_uid, account.pw_gid)
    own_postgres.stop()
    own_postgres.extra = ["-c", "ssl=on"]
    own_postgres.start()
    own_redis.stop()
    own_redis.extra = [
        *("--tls-port", str(own_redis.port), "--port", "0", "--tls-auth-clients", "no", "--requirepass", TOKEN),
        *("--tls-cert-file", "server.crt", "--tls-key-file", "server.key", "--tls-ca-cert-file", "authority.pem"),
    ]
    own_redis.start()
    return ca


def test_the_service_verifies_both_and_works(own_environment, certificates, start_task, visitor, run_migration):
    encrypted = own_environment | {
        "DATABASE_SSLMODE": "verify-full",
        "PGSSLROOTCERT": str(certificates),
        "CACHE_TLS": "true",
        "CACHE_AUTH_TOKEN": TOKEN,
        "SSL_CERT_FILE": str(certificates),
    }
    assert run_migration(encrypted).returncode == 0
    task = start_task(encrypted)
    assert task.get("/api/health").status_code == 200, task.get("/api/health").text
    alice = visitor(task, "alice")
    assert alice.get("/api/conversations").status_code == 200
    assert TOKEN not in task.log.read_text()


def test_a_foreign_authority_is_not_trusted(own_environment, certificates, start_task, own_redis):
    foreign, _, _ = authority(own_redis.folder, "foreign")
    task = start_task(
        own_environment
        | {
            "DATABASE_SSLMODE": "verify-full",
            "PGSSLROOTCERT": str(foreign),
            "CACHE_TLS": "true",
            "CACHE_AUTH_TOKEN": TOKEN,
            "SSL_CERT_FILE": str(foreign),
        }
    )
    checks = task.get("/api/health").json()["checks"]
    assert {name for name, check in checks.items() if check["status"] != "ok"} == {"database", "cache"}
    assert "certificate" in task.log.read_text()
    assert TOKEN not in task.log.read_text()
