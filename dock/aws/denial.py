"""The words of a denial, as AWS has them."""

from __future__ import annotations

from dock.access.decision import Decision
from dock.access.principals import Principal
from dock.aws.request import Protocol
from dock.aws.service import AwsError

STATUS = 403
# Services whose code for it isn't the usual one of their protocol.
_CODES = {"ec2": "UnauthorizedOperation", "sns": "AuthorizationError"}
_DOCUMENTS = (Protocol.QUERY, Protocol.REST_XML, Protocol.EC2)


def denial(principal: Principal, action: str, resource: str, decision: Decision | None = None) -> AwsError:
    """A denial of STS or IAM; without a decision, of something that does not exist for the caller to know."""
    return AwsError("AccessDenied", sentence(principal, action, resource, decision), STATUS)


def refusal(
    service: str, protocol: Protocol, principal: Principal, action: str, resource: str, decision: Decision
) -> AwsError:
    """A denial in a service's own code. `service` is botocore's name."""
    code = _CODES.get(service, "AccessDenied" if protocol in _DOCUMENTS else "AccessDeniedException")
    words = sentence(principal, action, resource, decision)
    if service == "ec2":
        words = f"You are not authorized to perform this operation. {words}"
    return AwsError(code, words, STATUS)


def sentence(principal: Principal, action: str, resource: str, decision: Decision | None) -> str:
    who = f"User: {principal.arn}" if principal.kind != "anonymous" else "User: anonymous"
    reason = f" {decision.reason(action)}" if decision is not None else ""
    where = f" on resource: {resource}" if resource != "*" else ""
    return f"{who} is not authorized to perform: {action}{where}{reason}"
