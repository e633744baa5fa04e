"""Listeners: created, described, changed and deleted."""

from __future__ import annotations

from typing import Any

from dock.aws.elbv2 import names, policies, rule_parts
from dock.aws.elbv2.records import LISTENER, LOAD_BALANCER, RULE, TAGS, Change, page
from dock.aws.elbv2.target_groups import TargetGroups
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record

MAX_LISTENERS = 50
_ATTRIBUTES = {
    "routing.http.response.server.enabled": "true",
    "routing.http.response.strict_transport_security.header_value": "",
    "routing.http.response.x_content_type_options.header_value": "",
    "routing.http.response.x_frame_options.header_value": "",
    "routing.http.response.content_security_policy.header_value": "",
}


class Listeners(TargetGroups):
    """CreateListener and its kin, HTTP and HTTPS."""

    @operation("CreateListener", acts="LoadBalancerArn Protocol Port SslPolicy Certificates DefaultActions Tags")
    async def create_listener(self, call: Call, request: Request) -> Response:
        async with self.fleet.lock:
            owner = self.records.get(call.scope, LOAD_BALANCER, request["LoadBalancerArn"])
            record: Record = {
                "LoadBalancerArn": owner["id"],
                **_front(request),
                "DefaultActions": rule_parts.actions(request["DefaultActions"]),
            }
            siblings = self.records.listeners(call.scope, owner["id"])
            for other in siblings:
                if other["Port"] == record["Port"]:
                    if {**other, "id": None} == {**record, "id": None}:
                        return {"Listeners": [_shown(other)]}
                    raise AwsError(
                        "DuplicateListenerException",
                        f"A listener already exists on port {record['Port']} for this load balancer '{owner['id']}'",
                    )
            if len(siblings) >= MAX_LISTENERS:
                raise AwsError("TooManyListenersException", f"A load balancer can have {MAX_LISTENERS} listeners")
            self.check_groups(call, record["DefaultActions"], owner["id"])
            arn = names.arn(call.scope, f"listener/{names.suffix(owner['id'])}/{names.new_id()}")
            record = {"id": arn, **record}
            change = Change().put(LISTENER, arn, record)
            self.tag_change(change, arn, request.get("Tags", []))
            await self.fleet.commit(call.scope, change)
        return {"Listeners": [_shown(record)]}

    @operation("DescribeListeners", acts="LoadBalancerArn ListenerArns Marker PageSize")
    async def describe_listeners(self, call: Call, request: Request) -> Response:
        if arns := request.get("ListenerArns"):
            found = [self.records.get(call.scope, LISTENER, arn) for arn in arns]
        elif owner := request.get("LoadBalancerArn"):
            self.records.get(call.scope, LOAD_BALANCER, owner)
            found = self.records.listeners(call.scope, owner)
        else:
            raise AwsError("ValidationError", "You must specify either listener ARNs or a load balancer ARN")
        shown, more = page(found, request)
        return {"Listeners": [_shown(record) for record in shown], **more}

    @operation("ModifyListener", acts="ListenerArn Port Protocol SslPolicy Certificates DefaultActions")
    async def modify_listener(self, call: Call, request: Request) -> Response:
        async with self.fleet.lock:
            record = self.records.get(call.scope, LISTENER, request["ListenerArn"])
            kept = {
                name: record[name] for name in ("Protocol", "Port", "SslPolicy", "Certificates") if record.get(name)
            }
            if request.get("Protocol") == "HTTP":
                kept = {name: kept[name] for name in ("Protocol", "Port")}
            record = {**record, "SslPolicy": None, "Certificates": [], **_front({**kept, **request})}
            for other in self.records.listeners(call.scope, record["LoadBalancerArn"]):
                if other["id"] != record["id"] and other["Port"] == record["Port"]:
                    raise AwsError("DuplicateListenerException", f"A listener already exists on port {record['Port']}")
            if "DefaultActions" in request:
                record["DefaultActions"] = rule_parts.actions(request["DefaultActions"])
                self.check_groups(call, record["DefaultActions"], record["LoadBalancerArn"])
            await self.fleet.commit(call.scope, Change().put(LISTENER, record["id"], record))
        return {"Listeners": [_shown(record)]}

    @operation("DeleteListener", acts="ListenerArn")
    async def delete_listener(self, call: Call, request: Request) -> Response:
        arn = request["ListenerArn"]
        async with self.fleet.lock:
            self.records.get(call.scope, LISTENER, arn)
            change = Change().delete(LISTENER, arn).delete(TAGS, arn)
            for rule in self.records.rules(call.scope, arn):
                change.delete(RULE, rule["id"]).delete(TAGS, rule["id"])
            await self.fleet.commit(call.scope, change)
        return {}

    @operation("DescribeListenerAttributes", acts="ListenerArn")
    async def describe_listener_attributes(self, call: Call, request: Request) -> Response:
        self.records.get(call.scope, LISTENER, request["ListenerArn"])
        return {"Attributes": [{"Key": key, "Value": value} for key, value in _ATTRIBUTES.items()]}

    @operation("DescribeListenerCertificates", acts="ListenerArn Marker PageSize")
    async def describe_listener_certificates(self, call: Call, request: Request) -> Response:
        record = self.records.get(call.scope, LISTENER, request["ListenerArn"])
        return {"Certificates": [{**certificate, "IsDefault": True} for certificate in record["Certificates"]]}

    @operation("DescribeSSLPolicies", acts="Names Marker PageSize")
    async def describe_ssl_policies(self, call: Call, request: Request) -> Response:
        shown, more = page(policies.described(request.get("Names", [])), request)
        return {"SslPolicies": shown, **more}


def _front(request: Request) -> dict[str, Any]:
    """What a listener listens with. Raises AwsError."""
    protocol, port = request.get("Protocol"), request.get("Port", 0)
    if protocol not in ("HTTP", "HTTPS"):
        raise AwsError("UnsupportedProtocolException", f"Protocol '{protocol}' must be one of 'HTTP, HTTPS'")
    if not 1 <= port <= 65535:
        raise AwsError("ValidationError", "A Port from 1 to 65535 must be specified")
    if protocol == "HTTP":
        if request.get("Certificates") or request.get("SslPolicy"):
            raise AwsError(
                "InvalidConfigurationRequestException", "An HTTP listener has no certificate and no SSL policy"
            )
        return {"Protocol": protocol, "Port": port, "SslPolicy": None, "Certificates": []}
    certificates = [each["CertificateArn"] for each in request.get("Certificates", []) if "CertificateArn" in each]
    if len(certificates) != 1:
        raise AwsError("CertificateNotFoundException", "An HTTPS listener needs exactly one certificate ARN")
    policy = request.get("SslPolicy") or policies.DEFAULT
    policies.versions(policy)
    return {
        "Protocol": protocol,
        "Port": port,
        "SslPolicy": policy,
        "Certificates": [{"CertificateArn": certificates[0]}],
    }


def _shown(record: Record) -> dict[str, Any]:
    shown = {
        "ListenerArn": record["id"],
        "LoadBalancerArn": record["LoadBalancerArn"],
        "Port": record["Port"],
        "Protocol": record["Protocol"],
        "DefaultActions": record["DefaultActions"],
    }
    if record["Protocol"] == "HTTPS":
        shown |= {"Certificates": record["Certificates"], "SslPolicy": record["SslPolicy"]}
    return shown
