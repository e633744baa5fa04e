"""Certificates: proven by DNS, imported with their keys, refused where they don't fit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509

from dock.cloud import ACCOUNTS, REGIONS, Cloud
from dock.home import Home
from dock.services import SERVICES
from tests.dock.conftest import call, running_cloud

pytestmark = pytest.mark.dock


@pytest.fixture
async def cloud(home: Home) -> AsyncIterator[Cloud]:
    async with running_cloud(home, SERVICES) as running:
        yield running


def pem(cloud: Cloud, *names: str) -> dict[str, bytes]:
    made = cloud.certificates.issue(cloud.home.root / names[0], names[0], [], names=names)
    return {"Certificate": made.certificate.read_bytes(), "PrivateKey": made.key.read_bytes()}


async def test_a_certificate_is_issued_when_its_names_are_proven_and_not_before(cloud: Cloud) -> None:
    acm = cloud.client("acm", ACCOUNTS[0], REGIONS[0])
    route53 = cloud.client("route53", ACCOUNTS[0], REGIONS[0])
    asked: dict[str, Any] = {
        "DomainName": "chat.test",
        "SubjectAlternativeNames": ["*.chat.test"],
        "ValidationMethod": "DNS",
    }
    arn = (await call(acm.request_certificate, IdempotencyToken="one", **asked))["CertificateArn"]
    assert (await call(acm.request_certificate, IdempotencyToken="one", **asked))["CertificateArn"] == arn
    described = (await call(acm.describe_certificate, CertificateArn=arn))["Certificate"]
    assert described["Status"] == "PENDING_VALIDATION"
    with pytest.raises(acm.exceptions.RequestInProgressException):
        await call(acm.get_certificate, CertificateArn=arn)

    zone = (await call(route53.create_hosted_zone, Name="chat.test", CallerReference="1"))["HostedZone"]["Id"]
    proof = described["DomainValidationOptions"][0]["ResourceRecord"]
    record = {"Name": proof["Name"], "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": proof["Value"]}]}
    await call(
        route53.change_resource_record_sets,
        HostedZoneId=zone,
        ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]},
    )
    waiter = acm.get_waiter("certificate_validated")
    await call(waiter.wait, CertificateArn=arn, WaiterConfig={"Delay": 0.2, "MaxAttempts": 100})
    found = await call(acm.get_certificate, CertificateArn=arn)
    names = x509.load_pem_x509_certificate(found["Certificate"].encode()).extensions
    alternatives = names.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert {"chat.test", "*.chat.test"} <= set(alternatives)
    assert found["CertificateChain"].strip() == cloud.certificates.path.read_text().strip()


async def test_what_does_not_fit_is_not_imported_and_no_key_is_ever_shown(cloud: Cloud, home: Home) -> None:
    acm = cloud.client("acm", ACCOUNTS[0], REGIONS[0])
    good, other = pem(cloud, "chat.test"), pem(cloud, "other.test")
    refused: list[tuple[dict[str, bytes], str]] = [
        ({**good, "PrivateKey": other["PrivateKey"]}, "do not belong together"),
        ({**good, "PrivateKey": b"nonsense"}, "private key is not PEM-encoded"),
        ({**good, "Certificate": b"nonsense"}, "no PEM-encoded certificate"),
    ]
    for parameters, complaint in refused:
        with pytest.raises(ClientError, match=complaint):
            await call(acm.import_certificate, **parameters)
    assert (await call(acm.list_certificates))["CertificateSummaryList"] == []
    arn = (await call(acm.import_certificate, Tags=[{"Key": "a", "Value": "b"}], **good))["CertificateArn"]
    described = (await call(acm.describe_certificate, CertificateArn=arn))["Certificate"]
    assert (described["Type"], described["Status"], described["DomainName"]) == ("IMPORTED", "ISSUED", "chat.test")
    assert (await call(acm.list_tags_for_certificate, CertificateArn=arn))["Tags"] == [{"Key": "a", "Value": "b"}]
    assert "PRIVATE KEY" not in str(await call(acm.get_certificate, CertificateArn=arn))
    assert [path.stat().st_mode & 0o077 for path in (home.keys / "acm").rglob("*.key")] == [0]
    await call(acm.delete_certificate, CertificateArn=arn)
    assert not list((home.keys / "acm").rglob("*.key"))
