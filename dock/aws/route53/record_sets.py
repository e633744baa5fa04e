"""Record sets: changed in batches, listed in pages, and what the server really answers."""

from __future__ import annotations

from typing import Any

from dnslib import QTYPE, RCODE, DNSRecord

from dock.aws.route53 import batch, names, record_set
from dock.aws.route53.part import Part
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.engines.dns import rdata
from dock.store import Record

MAX_PAGE = 300
MAX_CHANGES = 1000


class RecordSets(Part):
    """ChangeResourceRecordSets, ListResourceRecordSets, TestDNSAnswer."""

    @operation("ChangeResourceRecordSets", acts="HostedZoneId ChangeBatch")
    async def change_resource_record_sets(self, call: Call, request: Request) -> Response:
        scope = self.scope(call)
        zone = self.records.zone(scope, request["HostedZoneId"])
        asked = request["ChangeBatch"]
        if not asked["Changes"] or len(asked["Changes"]) > MAX_CHANGES:
            raise AwsError("InvalidChangeBatch", f"[A change batch has 1 to {MAX_CHANGES} changes]")
        records = self.records.records_of(scope, zone["id"])
        done = batch.apply(zone, records, asked["Changes"], lambda name: self.plane.balancers.find(name) is not None)
        for record in done.values():
            if record is not None and record["health_check"] is not None:
                self.records.check(scope, record["health_check"])
        with self.records.changing():
            for identifier, record in done.items():
                if record is None:
                    self.records.records.delete(scope, identifier)
                else:
                    self.records.records.put(scope, identifier, record)
            submitted = self.records.submit(scope, asked.get("Comment"))
        self.plane.changed()
        return {"ChangeInfo": self.change_info(submitted, self.records.generation)}

    @operation(
        "ListResourceRecordSets", acts="HostedZoneId StartRecordName StartRecordType StartRecordIdentifier MaxItems"
    )
    async def list_resource_record_sets(self, call: Call, request: Request) -> Response:
        scope, most = self.scope(call), names.limit(request, MAX_PAGE)
        zone = self.records.zone(scope, request["HostedZoneId"])
        if "StartRecordType" in request and "StartRecordName" not in request:
            raise AwsError("InvalidInput", "Invalid request: a record type was given to start at, but no name")
        found = sorted(self.records.records_of(scope, zone["id"]), key=_order)
        if "StartRecordName" in request:
            start = (
                names.order(names.domain(request["StartRecordName"])),
                request.get("StartRecordType", ""),
                request.get("StartRecordIdentifier", ""),
            )
            found = [record for record in found if _order(record) >= start]
        answer: dict[str, Any] = {
            "ResourceRecordSets": [record_set.describe(record) for record in found[:most]],
            "IsTruncated": len(found) > most,
            "MaxItems": str(most),
        }
        if len(found) > most:
            following = found[most]
            answer |= {"NextRecordName": following["name"], "NextRecordType": following["type"]}
            if following["identifier"] is not None:
                answer["NextRecordIdentifier"] = following["identifier"]
        return answer

    @operation(
        "TestDNSAnswer",
        acts="HostedZoneId RecordName RecordType",
        records="ResolverIP EDNS0ClientSubnetIP EDNS0ClientSubnetMask",
    )
    async def test_dns_answer(self, call: Call, request: Request) -> Response:
        """A question to the server itself, as any client asks it."""
        self.records.zone(self.scope(call), request["HostedZoneId"])
        name, kind = names.domain(request["RecordName"]), request["RecordType"]
        if kind not in rdata.kinds():
            raise AwsError("InvalidInput", f"the dock serves {', '.join(sorted(rdata.kinds()))}, not {kind}")
        answer, protocol = await self.plane.query(name, kind)
        return {
            "Nameserver": names.NAME_SERVERS[0],
            "RecordName": name.rstrip("."),
            "RecordType": kind,
            "RecordData": _data(answer, kind),
            "ResponseCode": RCODE.get(answer.header.rcode),
            "Protocol": protocol,
        }


def _data(answer: DNSRecord, kind: str) -> list[str]:
    wanted = getattr(QTYPE, kind)
    return [rdata.text(kind, record.rdata) for record in answer.rr if record.rtype == wanted]


def _order(record: Record) -> tuple[tuple[str, ...], str, str]:
    return names.order(record["name"]), record["type"], record["identifier"] or ""
