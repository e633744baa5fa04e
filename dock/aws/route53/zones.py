"""Hosted zones: made with their NS and SOA records, listed, removed when they are empty."""

from __future__ import annotations

import time
from typing import Any

from dock.aws.route53 import names
from dock.aws.route53.part import Part
from dock.aws.route53.records import Submitted, key
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record, Scope

# Seconds, as AWS makes them.
_NS_TTL, _SOA_TTL = 172800, 900
_SOA = "{} hostmaster.dock.internal. 1 7200 900 1209600 86400"
MAX_PAGE = 100


class Zones(Part):
    """CreateHostedZone and its kin."""

    @operation("CreateHostedZone", acts="Name CallerReference HostedZoneConfig")
    async def create_hosted_zone(self, call: Call, request: Request) -> Response:
        scope, name = self.scope(call), names.domain(request["Name"])
        config = request.get("HostedZoneConfig", {})
        if config.get("PrivateZone"):
            raise AwsError(
                "InvalidInput", "the dock has public zones only: its networks are records, nothing asks in them"
            )
        reference = f"zone {request['CallerReference']}"
        if self.records.references.get(scope, reference) is not None:
            raise AwsError("HostedZoneAlreadyExists", "A hosted zone has already been created with the specified caller reference.")  # noqa: E501  # fmt: skip
        if name == names.SERVERS_ZONE or any(zone["name"] == name for _, _, zone in self.records.zones.all()):
            raise AwsError(
                "ConflictingDomainExists",
                f"{name} exists, and the dock has one set of name servers: two zones of one name can't share them",
            )
        zone: Record = {
            "id": names.new_id("Z"),
            "name": name,
            "reference": request["CallerReference"],
            "comment": config.get("Comment"),
            "accelerated": False,
            "created": time.time(),
        }
        with self.records.changing():
            self.records.references.put(scope, reference, {"id": zone["id"]})
            self.records.zones.put(scope, zone["id"], zone)
            for record in _first_records(zone):
                self.records.records.put(scope, key(record), record)
            submitted = self.records.submit(scope)
        self.plane.changed()
        return {
            "HostedZone": self._zone(scope, zone),
            "ChangeInfo": self.change_info(submitted, self.records.generation),
            "DelegationSet": {"NameServers": list(names.NAME_SERVERS)},
            "Location": f"{self.cloud.url}/2013-04-01/hostedzone/{zone['id']}",
        }

    @operation("GetHostedZone", acts="Id")
    async def get_hosted_zone(self, call: Call, request: Request) -> Response:
        scope = self.scope(call)
        zone = self.records.zone(scope, request["Id"])
        return {
            "HostedZone": self._zone(scope, zone),
            "DelegationSet": {"NameServers": list(names.NAME_SERVERS)},
        }

    @operation("ListHostedZones", acts="Marker MaxItems HostedZoneType")
    async def list_hosted_zones(self, call: Call, request: Request) -> Response:
        scope, most = self.scope(call), names.limit(request, MAX_PAGE)
        found = [] if request.get("HostedZoneType") == "PrivateHostedZone" else self.records.zones.list(scope)
        marker = request.get("Marker", "")
        found = [zone for zone in found if zone["id"] >= marker]
        answer = {
            "HostedZones": [self._zone(scope, zone) for zone in found[:most]],
            "Marker": marker,
            "IsTruncated": len(found) > most,
            "MaxItems": str(most),
        }
        return {**answer, "NextMarker": found[most]["id"]} if len(found) > most else answer

    @operation("ListHostedZonesByName", acts="DNSName HostedZoneId MaxItems")
    async def list_hosted_zones_by_name(self, call: Call, request: Request) -> Response:
        scope, most = self.scope(call), names.limit(request, MAX_PAGE)
        start = (
            names.order(names.domain(request["DNSName"])) if "DNSName" in request else (),
            names.bare(request.get("HostedZoneId", "")),
        )
        zones = sorted(self.records.zones.list(scope), key=lambda zone: (names.order(zone["name"]), zone["id"]))
        found = [zone for zone in zones if (names.order(zone["name"]), zone["id"]) >= start]
        answer: dict[str, Any] = {
            "HostedZones": [self._zone(scope, zone) for zone in found[:most]],
            "IsTruncated": len(found) > most,
            "MaxItems": str(most),
            **{name: request[name] for name in ("DNSName", "HostedZoneId") if name in request},
        }
        if len(found) > most:
            answer |= {"NextDNSName": found[most]["name"], "NextHostedZoneId": found[most]["id"]}
        return answer

    @operation("GetHostedZoneCount")
    async def get_hosted_zone_count(self, call: Call, request: Request) -> Response:
        return {"HostedZoneCount": len(self.records.zones.list(self.scope(call)))}

    @operation("UpdateHostedZoneComment", acts="Id Comment")
    async def update_hosted_zone_comment(self, call: Call, request: Request) -> Response:
        scope = self.scope(call)
        zone = {**self.records.zone(scope, request["Id"]), "comment": request.get("Comment")}
        self.records.zones.put(scope, zone["id"], zone)
        return {"HostedZone": self._zone(scope, zone)}

    @operation("UpdateHostedZoneFeatures", acts="HostedZoneId", records="EnableAcceleratedRecovery")
    async def update_hosted_zone_features(self, call: Call, request: Request) -> Response:
        scope = self.scope(call)
        zone = self.records.zone(scope, request["HostedZoneId"])
        wanted = request.get("EnableAcceleratedRecovery", zone["accelerated"])
        self.records.zones.put(scope, zone["id"], {**zone, "accelerated": wanted})
        return {}

    @operation("DeleteHostedZone", acts="Id")
    async def delete_hosted_zone(self, call: Call, request: Request) -> Response:
        scope = self.scope(call)
        zone = self.records.zone(scope, request["Id"])
        records = self.records.records_of(scope, zone["id"])
        if any(record["name"] != zone["name"] or record["type"] not in ("NS", "SOA") for record in records):
            raise AwsError(
                "HostedZoneNotEmpty",
                "The specified hosted zone contains non-required resource record sets and so cannot be deleted.",
            )
        with self.records.changing():
            for record in records:
                self.records.records.delete(scope, key(record))
            self.records.zones.delete(scope, zone["id"])
            self.records.tags.delete(scope, f"hostedzone {zone['id']}")
            submitted = self.records.submit(scope)
        self.plane.changed()
        return {"ChangeInfo": self.change_info(submitted, self.records.generation)}

    @operation("GetChange", acts="Id")
    async def get_change(self, call: Call, request: Request) -> Response:
        identifier = names.bare(request["Id"])
        kept = self.records.changes.get(self.scope(call), identifier)
        if kept is None:
            raise AwsError("NoSuchChange", f"Could not find resource with ID: {identifier}")
        submitted = Submitted(identifier, kept["at"], kept["comment"])
        return {"ChangeInfo": self.change_info(submitted, kept["generation"])}

    @operation("GetDNSSEC", acts="HostedZoneId")
    async def get_dnssec(self, call: Call, request: Request) -> Response:
        self.records.zone(self.scope(call), request["HostedZoneId"])
        return {"Status": {"ServeSignature": "NOT_SIGNING"}, "KeySigningKeys": []}

    def _zone(self, scope: Scope, zone: Record) -> dict[str, Any]:
        config: dict[str, Any] = {"PrivateZone": False}
        if zone["comment"] is not None:
            config["Comment"] = zone["comment"]
        return {
            "Id": f"/hostedzone/{zone['id']}",
            "Name": zone["name"],
            "CallerReference": zone["reference"],
            "Config": config,
            "ResourceRecordSetCount": len(self.records.records_of(scope, zone["id"])),
            "Features": {"AcceleratedRecoveryStatus": "ENABLED" if zone["accelerated"] else "DISABLED"},
        }


def _first_records(zone: Record) -> list[Record]:
    common = {
        "zone": zone["id"],
        "name": zone["name"],
        "identifier": None,
        "weight": None,
        "failover": None,
        "multivalue": False,
        "health_check": None,
        "alias": None,
    }
    servers = [f"{server}." for server in names.NAME_SERVERS]
    return [
        {**common, "type": "NS", "ttl": _NS_TTL, "values": servers},
        {**common, "type": "SOA", "ttl": _SOA_TTL, "values": [_SOA.format(servers[0])]},
    ]
