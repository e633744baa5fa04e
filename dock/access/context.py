"""The global condition keys that come from the caller and from the moment."""

from __future__ import annotations

import datetime as dt

from dock.access.principals import Principal

Values = dict[str, tuple[str, ...]]

_TYPES = {
    "root": "Account",
    "user": "User",
    "session": "AssumedRole",
    "federated": "FederatedUser",
    "anonymous": "Anonymous",
}


def of_principal(principal: Principal, now: float) -> Values:
    """What AWS knows of a caller. Keys about MFA and about tokens are there for temporary credentials alone."""
    found: Values = {
        "aws:principalisawsservice": (_truth(principal.kind == "service"),),
        "aws:viaawsservice": (_truth(principal.via is not None),),
    }
    if principal.via is not None:
        found |= dict.fromkeys(("aws:calledvia", "aws:calledviafirst", "aws:calledvialast"), (principal.via,))
    if principal.kind == "service":
        return found | {"aws:principalservicename": (principal.name,)}
    found["aws:principaltype"] = (_TYPES[principal.kind],)
    if principal.in_account:
        found |= {
            "aws:principalarn": (principal.role_arn or principal.arn,),
            "aws:principalaccount": (principal.account,),
            "aws:userid": (principal.unique_id,),
        }
    if principal.kind == "user":
        found["aws:username"] = (principal.name,)
    for key, value in principal.tags:
        found[f"aws:principaltag/{key.lower()}"] = (value,)
    if principal.issued_at is not None:
        found["aws:tokenissuetime"] = (iso(principal.issued_at),)
        found["aws:multifactorauthpresent"] = (_truth(principal.mfa_at is not None),)
        if principal.mfa_at is not None:
            found["aws:multifactorauthage"] = (str(int(now - principal.mfa_at)),)
    if principal.source_identity is not None:
        found["aws:sourceidentity"] = (principal.source_identity,)
    if principal.federated_provider is not None:
        found["aws:federatedprovider"] = (principal.federated_provider,)
    return found


def of_moment(now: float) -> Values:
    return {"aws:currenttime": (iso(now),), "aws:epochtime": (str(int(now)),)}


def iso(seconds: float) -> str:
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC).isoformat().replace("+00:00", "Z")


def _truth(value: bool) -> str:
    return "true" if value else "false"
