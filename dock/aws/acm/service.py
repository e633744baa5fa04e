"""The service: certificates from a request to their end."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from cryptography import x509

from dock.aws.acm import validation
from dock.aws.acm.material import Material, Vault, described, imported, names
from dock.aws.service import AwsError, Call, Request, Response, Service, operation
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

VALIDATION_SECONDS = 72 * 3600.0
_LOOK_SECONDS = 2.0
# A request with the same token within an hour is the same request.
_TOKEN_SECONDS = 3600.0
_MAX_TAGS = 50

Listener = Callable[[Scope, str], Awaitable[None]]
Users = Callable[[Scope, str], list[str]]


class Acm(Service):
    """Certificates by ARN. Amazon's part is played by the dock's own authority, which every task and shell trusts."""

    name = "acm"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._table = cloud.store.table("acm/certificate")
        self._vault = Vault(cloud.home.keys / "acm")
        self.changed: list[Listener] = []
        """Told when a certificate has other content than before."""
        self.users: list[Users] = []
        """Each says which resources (ARNs) use a certificate."""

    async def start(self) -> None:
        self.cloud.spawn(self._validate(), "acm validation")

    def material(self, scope: Scope, arn: str) -> Material:
        """What to serve. Raises AwsError when the certificate doesn't exist or isn't issued."""
        record = self._table.get(scope, arn)
        if record is None or record["status"] != "ISSUED":
            raise AwsError("CertificateNotFoundException", f"The certificate {arn} is not there, or not issued.")
        return self._vault.read(record["id"])

    @operation(
        "RequestCertificate",
        acts="DomainName SubjectAlternativeNames ValidationMethod IdempotencyToken Tags",
        records="KeyAlgorithm Options DomainValidationOptions",
    )
    async def request_certificate(self, call: Call, request: Request) -> Response:
        if request.get("ValidationMethod", "DNS") != "DNS":
            raise AwsError("InvalidParameterException", "The dock validates by DNS: it reads nobody's mail.")
        domains = list(dict.fromkeys([request["DomainName"], *request.get("SubjectAlternativeNames", [])]))
        token = request.get("IdempotencyToken")
        for record in self._table.list(call.scope):
            recent = record["created"] > time.time() - _TOKEN_SECONDS
            if token and record["token"] == token and record["domains"] == domains and recent:
                return {"CertificateArn": record["arn"]}
        record = self._new(call, "AMAZON_ISSUED", domains, _tags(request))
        record |= {"status": "PENDING_VALIDATION", "token": token, "options": request.get("Options")}
        self._table.put(call.scope, record["arn"], record)
        return {"CertificateArn": record["arn"]}

    @operation("ImportCertificate", acts="CertificateArn Certificate PrivateKey CertificateChain Tags")
    async def import_certificate(self, call: Call, request: Request) -> Response:
        material = imported(request["Certificate"], request["PrivateKey"], request.get("CertificateChain"))
        domains = names(x509.load_pem_x509_certificate(material.chain))
        if arn := request.get("CertificateArn"):
            record = self._get(call.scope, arn)
            if record["type"] != "IMPORTED":
                raise AwsError("ValidationException", "Only an imported certificate can be imported again.")
            if request.get("Tags"):
                raise AwsError("ValidationException", "Tags can't be given when a certificate is imported again.")
        else:
            record = self._new(call, "IMPORTED", domains, _tags(request))
        self._vault.keep(record["id"], material)
        now = time.time()
        self._table.put(call.scope, record["arn"], {**record, "domains": domains, "status": "ISSUED", "issued": now})
        if arn:
            await self._tell(call.scope, arn)
        return {"CertificateArn": record["arn"]}

    @operation("DescribeCertificate", acts="CertificateArn")
    async def describe_certificate(self, call: Call, request: Request) -> Response:
        record = self._get(call.scope, request["CertificateArn"])
        shown = {
            "CertificateArn": record["arn"],
            "DomainName": record["domains"][0],
            "SubjectAlternativeNames": record["domains"],
            "Status": record["status"],
            "Type": record["type"],
            "CreatedAt": record["created"],
            "InUseBy": self._in_use_by(call.scope, record["arn"]),
            "RenewalEligibility": "ELIGIBLE" if record["type"] == "AMAZON_ISSUED" else "INELIGIBLE",
            "Options": record.get("options") or {"CertificateTransparencyLoggingPreference": "ENABLED"},
        }
        if record["type"] == "AMAZON_ISSUED":
            shown["DomainValidationOptions"] = self._validations(record)
        if record["status"] == "ISSUED":
            shown |= described(self._vault.read(record["id"]))
            shown["IssuedAt" if record["type"] == "AMAZON_ISSUED" else "ImportedAt"] = record["issued"]
        return {"Certificate": shown}

    @operation("GetCertificate", acts="CertificateArn")
    async def get_certificate(self, call: Call, request: Request) -> Response:
        record = self._get(call.scope, request["CertificateArn"])
        if record["status"] != "ISSUED":
            raise AwsError("RequestInProgressException", f"The certificate is {record['status']}.")
        chain = self._vault.read(record["id"]).chain.decode()
        own, marker, rest = chain.partition("-----END CERTIFICATE-----\n")
        return {"Certificate": own + marker, **({"CertificateChain": rest} if rest.strip() else {})}

    @operation("ListCertificates", acts="CertificateStatuses MaxItems NextToken")
    async def list_certificates(self, call: Call, request: Request) -> Response:
        wanted = request.get("CertificateStatuses")
        found = [record for record in self._table.list(call.scope) if not wanted or record["status"] in wanted]
        found = [record for record in found if record["arn"] > request.get("NextToken", "")]
        page = found[: request.get("MaxItems", 1000)]
        summaries = [
            {
                "CertificateArn": record["arn"],
                "DomainName": record["domains"][0],
                "SubjectAlternativeNameSummaries": record["domains"],
                "Status": record["status"],
                "Type": record["type"],
                "InUse": bool(self._in_use_by(call.scope, record["arn"])),
                "CreatedAt": record["created"],
            }
            for record in page
        ]
        more = {"NextToken": page[-1]["arn"]} if len(page) < len(found) else {}
        return {"CertificateSummaryList": summaries, **more}

    @operation("DeleteCertificate", acts="CertificateArn")
    async def delete_certificate(self, call: Call, request: Request) -> Response:
        record = self._get(call.scope, request["CertificateArn"])
        if users := self._in_use_by(call.scope, record["arn"]):
            raise AwsError("ResourceInUseException", f"The certificate is in use by {', '.join(users)}.")
        self._table.delete(call.scope, record["arn"])
        self._vault.remove(record["id"])
        return {}

    @operation("ListTagsForCertificate", acts="CertificateArn")
    async def list_tags_for_certificate(self, call: Call, request: Request) -> Response:
        tags = self._get(call.scope, request["CertificateArn"])["tags"]
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    @operation("AddTagsToCertificate", acts="CertificateArn Tags")
    async def add_tags_to_certificate(self, call: Call, request: Request) -> Response:
        record = self._get(call.scope, request["CertificateArn"])
        tags = {**record["tags"], **_tags(request)}
        if len(tags) > _MAX_TAGS:
            raise AwsError("TooManyTagsException", f"A certificate has at most {_MAX_TAGS} tags.")
        self._table.put(call.scope, record["arn"], {**record, "tags": tags})
        return {}

    @operation("RemoveTagsFromCertificate", acts="CertificateArn Tags")
    async def remove_tags_from_certificate(self, call: Call, request: Request) -> Response:
        record = self._get(call.scope, request["CertificateArn"])
        for tag in request["Tags"]:
            if tag.get("Value") in (None, record["tags"].get(tag["Key"])):
                record["tags"].pop(tag["Key"], None)
        self._table.put(call.scope, record["arn"], record)
        return {}

    def _new(self, call: Call, kind: str, domains: list[str], tags: dict[str, str]) -> Record:
        identifier = str(uuid.uuid4())
        return {
            "id": identifier,
            "arn": call.arn(f"certificate/{identifier}"),
            "type": kind,
            "domains": domains,
            "created": time.time(),
            "tags": tags,
            "token": None,
        }

    def _get(self, scope: Scope, arn: str) -> Record:
        record = self._table.get(scope, arn)
        if record is None:
            raise AwsError("ResourceNotFoundException", f"Could not find certificate {arn}.")
        return record

    def _in_use_by(self, scope: Scope, arn: str) -> list[str]:
        return sorted({user for users in self.users for user in users(scope, arn)})

    def _validations(self, record: Record) -> list[dict[str, Any]]:
        account = record["arn"].split(":")[4]
        return [
            {
                "DomainName": domain,
                "ValidationDomain": domain,
                "ValidationMethod": "DNS",
                "ValidationStatus": {"ISSUED": "SUCCESS", "VALIDATION_TIMED_OUT": "FAILED"}.get(
                    record["status"], "PENDING_VALIDATION"
                ),
                "ResourceRecord": validation.record(account, domain),
            }
            for domain in record["domains"]
        ]

    async def _tell(self, scope: Scope, arn: str) -> None:
        for listener in self.changed:
            await listener(scope, arn)

    async def _validate(self) -> None:
        """Issue what is proven, for as long as the dock runs."""
        while True:
            for scope, _, record in self._table.all():
                if record["status"] == "PENDING_VALIDATION":
                    try:
                        await self._look(scope, record)
                    except Exception:
                        log.exception("%s could not be validated", record["arn"])
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self, scope: Scope, record: Record) -> None:
        for domain in record["domains"]:
            if not await validation.is_there(self.cloud, validation.record(scope.account, domain)):
                if time.time() - record["created"] > VALIDATION_SECONDS:
                    self._table.put(scope, record["arn"], {**record, "status": "VALIDATION_TIMED_OUT"})
                return
        await asyncio.to_thread(
            self.cloud.certificates.issue,
            self._vault.folder(record["id"]), record["domains"][0], [], None, record["domains"],
        )  # fmt: skip
        if (current := self._table.get(scope, record["arn"])) is not None:
            self._table.put(scope, record["arn"], {**current, "status": "ISSUED", "issued": time.time()})


def _tags(request: Request) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", [])}
