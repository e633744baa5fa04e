"""What policies say: wildcards, variables, conditions, and how several of them become one decision."""

from __future__ import annotations

import pytest

from dock.access.conditions import Condition
from dock.access.decision import Decision, Grants, Question, Source, decide
from dock.access.documents import Kind, PolicyError, parse
from dock.access.principals import Principal
from tests.dock.iam.rig import ACCOUNT, OTHER
from tests.dock.iam.roles import allow, deny, document

EVA = Principal("user", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/eva", "AIDAEVA", "eva")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/web"
SESSION = Principal(
    "session", ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/web/now", "AROAWEB:now", "web", role_arn=ROLE
)
BUCKET = "arn:aws:s3:::books"


def ask(
    principal: Principal = EVA,
    *identity: dict[str, object],
    action: str = "s3:GetObject",
    resource: str = f"{BUCKET}/a.txt",
    on_resource: list[dict[str, object]] | None = None,
    boundary: dict[str, object] | None = None,
    session: dict[str, object] | None = None,
    owner: str = ACCOUNT,
    decides: bool = False,
    **keys: tuple[str, ...] | str,
) -> Decision:
    context = {
        key.replace("__", ":").lower(): value if isinstance(value, tuple) else (value,) for key, value in keys.items()
    }
    policy = parse(document(*on_resource), "resource") if on_resource is not None else None
    grants = Grants(
        (parse(document(*identity)),) if identity else (),
        parse(document(boundary)) if boundary else None,
        (parse(document(session)),) if session else (),
    )
    return decide(Question(principal, action, resource, context, owner, policy, decides), grants)


def on(who: object, effect: str = "Allow", action: str = "s3:*", **more: object) -> dict[str, object]:
    return {"Effect": effect, "Principal": who, "Action": action, "Resource": "*", **more}


@pytest.mark.parametrize(
    ("pattern", "action", "named"),
    [
        ("s3:GetObject", "s3:GetObject", True),
        ("S3:getobject", "s3:GetObject", True),
        ("s3:Get*", "s3:GetObject", True),
        ("s3:GetObjec?", "s3:GetObject", True),
        ("*", "s3:GetObject", True),
        ("s3:Get", "s3:GetObject", False),
        ("s3:*", "s3express:CreateSession", False),
    ],
)
def test_an_action_is_matched_without_regard_to_capitals(pattern: str, action: str, named: bool) -> None:
    assert ask(EVA, allow(pattern), action=action).allowed is named


@pytest.mark.parametrize(
    ("pattern", "resource", "named"),
    [
        (f"{BUCKET}/*", f"{BUCKET}/a/b.txt", True),
        (BUCKET, f"{BUCKET}/a.txt", False),
        (f"{BUCKET}/A.txt", f"{BUCKET}/a.txt", False),
        ("arn:aws:sqs:*:*:queue", "arn:aws:sqs:us-east-1:000000000001:queue", True),
        ("arn:aws:sqs", "arn:aws:sqs:us-east-1:000000000001:queue", True),
        # A wildcard stays in its field.
        ("arn:aws:sqs:*:queue", "arn:aws:sqs:us-east-1:000000000001:queue", False),
        ("arn:aws:iam::*:role/a", "arn:aws:iam::000000000001:role/b/a", False),
    ],
)
def test_a_resource_is_matched_field_by_field(pattern: str, resource: str, named: bool) -> None:
    assert ask(EVA, allow("*", on=pattern), resource=resource).allowed is named


def test_a_statement_may_name_all_but_some() -> None:
    statement = {"Effect": "Allow", "NotAction": "iam:*", "NotResource": f"{BUCKET}/secret*"}
    assert ask(EVA, statement).allowed
    assert not ask(EVA, statement, action="iam:CreateUser").allowed
    assert not ask(EVA, statement, resource=f"{BUCKET}/secret.txt").allowed


def test_variables_stand_for_what_is_known_of_the_caller() -> None:
    home = allow("s3:*", on=BUCKET + "/${aws:username}/*")
    assert ask(EVA, home, resource=f"{BUCKET}/eva/a", aws__username="eva").allowed
    assert not ask(EVA, home, resource=f"{BUCKET}/max/a", aws__username="eva").allowed
    # Nothing is known, so nothing is meant; and a user called `*` is no wildcard.
    assert not ask(EVA, home, resource=f"{BUCKET}/eva/a").allowed
    assert not ask(EVA, home, resource=f"{BUCKET}/max/a", aws__username="*").allowed
    assert ask(EVA, allow("s3:*", on=BUCKET + "/${aws:PrincipalTag/team, 'all'}"), resource=f"{BUCKET}/all").allowed
    assert ask(EVA, allow("s3:*", on=BUCKET + "/${*}"), resource=f"{BUCKET}/*").allowed
    assert not ask(EVA, allow("s3:*", on=BUCKET + "/${*}"), resource=f"{BUCKET}/x").allowed


CONDITIONS = [
    ("StringEquals", "k", "a", {"k": ("a",)}, True),
    ("StringEquals", "k", "a", {"k": ("A",)}, False),
    ("StringEqualsIgnoreCase", "k", "a", {"k": ("A",)}, True),
    ("StringNotEquals", "k", "a", {}, True),
    ("StringNotEquals", "k", ("a", "b"), {"k": ("b",)}, False),
    ("StringLike", "k", "a*c?", {"k": ("abbcd",)}, True),
    ("StringNotLike", "k", "a*", {"k": ("b",)}, True),
    ("NumericLessThan", "k", "10", {"k": ("9.5",)}, True),
    ("NumericLessThan", "k", "10", {"k": ("many",)}, False),
    ("NumericGreaterThanEquals", "k", "10", {"k": ("10",)}, True),
    ("NumericNotEquals", "k", "10", {"k": ("10",)}, False),
    ("DateGreaterThan", "k", "2026-01-01T00:00:00Z", {"k": ("2026-06-01T00:00:00Z",)}, True),
    ("DateLessThan", "k", "1767225600", {"k": ("2026-06-01T00:00:00Z",)}, False),
    ("Bool", "k", "true", {"k": ("true",)}, True),
    ("Bool", "k", "false", {}, False),
    ("BoolIfExists", "k", "false", {}, True),
    ("BoolIfExists", "k", "false", {"k": ("true",)}, False),
    ("BinaryEquals", "k", "QUJD", {"k": ("QUJD",)}, True),
    ("IpAddress", "k", "10.0.0.0/8", {"k": ("10.1.2.3",)}, True),
    ("NotIpAddress", "k", "10.0.0.0/8", {"k": ("10.1.2.3",)}, False),
    ("ArnLike", "k", "arn:aws:iam::*:role/a*", {"k": ("arn:aws:iam::000000000001:role/ab",)}, True),
    ("ArnEquals", "k", "arn:aws:iam::*:role/a*", {"k": ("arn:aws:sts::000000000001:role/ab",)}, False),
    ("ArnNotLike", "k", "arn:aws:iam::*:*", {"k": ("arn:aws:iam::1:x",)}, False),
    ("Null", "k", "true", {}, True),
    ("Null", "k", "false", {"k": ("x",)}, True),
    ("Null", "k", "true", {"k": ("x",)}, False),
    ("StringEqualsIfExists", "k", "a", {}, True),
    ("ForAnyValue:StringEquals", "k", ("a", "b"), {"k": ("x", "b")}, True),
    ("ForAnyValue:StringEquals", "k", "a", {}, False),
    ("ForAllValues:StringEquals", "k", ("a", "b"), {"k": ("a", "c")}, False),
    # The trap: nothing is all of anything.
    ("ForAllValues:StringEquals", "k", "a", {}, True),
    ("ForAnyValue:StringNotEquals", "k", "a", {"k": ("a", "b")}, True),
    ("ForAllValues:StringNotEquals", "k", "a", {"k": ("a", "b")}, False),
    ("StringEquals", "k", "${aws:username}", {"k": ("eva",), "aws:username": ("eva",)}, True),
    ("NumericEquals", "k", "${aws:username}", {"k": ("1",), "aws:username": ("1",)}, False),
]


@pytest.mark.parametrize(("operator", "key", "wanted", "context", "holds"), CONDITIONS)
def test_an_operator_compares_as_it_says(
    operator: str, key: str, wanted: str | tuple[str, ...], context: dict[str, tuple[str, ...]], holds: bool
) -> None:
    values = wanted if isinstance(wanted, tuple) else (wanted,)
    assert Condition(operator, key, values, True).holds(context) is holds


def test_all_conditions_of_a_statement_must_hold() -> None:
    both = allow("s3:*", Condition={"StringEquals": {"a": "1", "b": "2"}, "Bool": {"c": "true"}})
    assert ask(EVA, both, a="1", b="2", c="true").allowed
    assert not ask(EVA, both, a="1", b="2", c="false").allowed
    missing = ask(EVA, both, a="1")
    assert not missing.allowed
    assert missing.missing == {"b", "c"}


def test_a_denial_anywhere_wins() -> None:
    everything, nothing = allow("*"), deny("s3:GetObject")
    for refused in (
        ask(EVA, everything, nothing),
        ask(EVA, everything, boundary=nothing),
        ask(SESSION, everything, session=nothing),
        ask(EVA, everything, on_resource=[on("*", "Deny")]),
    ):
        assert not refused.allowed
        assert refused.explicit
    assert ask(EVA, everything, nothing).reason("s3:GetObject") == "with an explicit deny in an identity-based policy"


def test_a_boundary_and_a_session_policy_limit_and_grant_nothing() -> None:
    assert not ask(EVA, boundary=allow("*")).allowed
    assert ask(EVA, allow("*"), boundary=allow("logs:*")).source is Source.BOUNDARY
    assert ask(EVA, allow("*"), boundary=allow("s3:*")).allowed
    assert ask(SESSION, allow("*"), session=allow("logs:*")).source is Source.SESSION
    assert not ask(SESSION, session=allow("*")).allowed


def test_in_its_account_a_principal_needs_one_of_both_policies() -> None:
    assert ask(EVA, allow("s3:*")).allowed
    assert ask(EVA, on_resource=[on({"AWS": EVA.arn})]).allowed
    assert ask(SESSION, on_resource=[on({"AWS": ROLE})]).allowed
    assert ask(EVA, on_resource=[on("*")]).allowed
    # Its account is not itself.
    assert not ask(EVA, on_resource=[on({"AWS": ACCOUNT})]).allowed
    assert ask(EVA, on_resource=[on({"AWS": f"arn:aws:iam::{ACCOUNT}:user/max"})]).source is Source.IDENTITY


def test_a_boundary_does_not_limit_what_a_resource_grants_to_a_user_or_to_a_session_itself() -> None:
    limit = allow("logs:*")
    assert ask(EVA, boundary=limit, on_resource=[on({"AWS": EVA.arn})]).allowed
    assert ask(SESSION, boundary=limit, on_resource=[on({"AWS": SESSION.arn})]).allowed
    assert ask(SESSION, boundary=limit, on_resource=[on({"AWS": ROLE})]).source is Source.BOUNDARY


def test_beyond_its_account_both_must_allow() -> None:
    assert ask(EVA, allow("s3:*"), owner=OTHER).source is Source.RESOURCE
    assert ask(EVA, on_resource=[on({"AWS": EVA.arn})], owner=OTHER).source is Source.IDENTITY
    assert ask(EVA, allow("s3:*"), on_resource=[on({"AWS": ACCOUNT})], owner=OTHER).allowed
    assert not ask(EVA, allow("logs:*"), on_resource=[on({"AWS": ACCOUNT})], owner=OTHER).allowed


def test_a_key_is_used_only_as_its_own_policy_says() -> None:
    key = {"action": "kms:Decrypt", "resource": "arn:aws:kms:us-east-1:000000000001:key/k", "decides": True}
    root = on({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, action="kms:*")
    assert ask(EVA, allow("kms:*"), **key).source is Source.RESOURCE  # type: ignore[arg-type]
    assert ask(EVA, allow("kms:*"), on_resource=[root], **key).allowed  # type: ignore[arg-type]
    assert ask(EVA, on_resource=[root], **key).source is Source.IDENTITY  # type: ignore[arg-type]
    assert ask(EVA, on_resource=[on({"AWS": EVA.arn}, action="kms:*")], **key).allowed  # type: ignore[arg-type]


def test_who_is_not_excluded_is_meant() -> None:
    statement = {"Effect": "Deny", "NotPrincipal": {"AWS": EVA.arn}, "Action": "s3:*", "Resource": "*"}
    assert ask(EVA, allow("s3:*"), on_resource=[statement]).allowed
    assert not ask(SESSION, allow("s3:*"), on_resource=[statement]).allowed


def test_a_service_has_what_the_resource_says() -> None:
    logs = Principal("service", "", "logs.amazonaws.com", name="logs.amazonaws.com")
    statement = on({"Service": "logs.amazonaws.com"}, Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}})
    assert ask(logs, on_resource=[statement], aws__sourceaccount=ACCOUNT).allowed
    assert not ask(logs, on_resource=[statement], aws__sourceaccount=OTHER).allowed
    assert not ask(logs, allow("s3:*")).allowed


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("{", "identity", "Syntax errors"),
        ("[]", "identity", "not an object"),
        ('{"Version": "2012-10-17"}', "identity", "no Statement"),
        ('{"Version": "2020-01-01", "Statement": []}', "identity", "version"),
        (document({"Effect": "Maybe", "Action": "*", "Resource": "*"}), "identity", "Allow or Deny"),
        (document({"Effect": "Allow", "Action": "GetObject", "Resource": "*"}), "identity", "vendor"),
        (document({"Effect": "Allow", "Action": "s3:*"}), "identity", "resource"),
        (document({**allow("s3:*"), "NotAction": "s3:*"}), "identity", "not both"),
        (document({**allow("s3:*"), "Principal": "*"}), "identity", "principal"),
        (document({**allow("s3:*"), "Acton": "*"}), "identity", "Acton"),
        (document(allow("s3:*", on="books")), "identity", "ARN"),
        (document(allow("s3:*", Condition={"StringEqual": {"a": "b"}})), "identity", "StringEqual"),
        (document(allow("s3:*", Condition={"NumericEquals": {"a": "b"}})), "identity", "can't be compared"),
        (document({**allow("s3:*"), "Sid": "a"}, {**allow("s3:*"), "Sid": "a"}), "identity", "unique"),
        (document(allow("s3:*")), "resource", "Principal"),
        (document(on({"AWS": "eva"})), "resource", "Invalid principal"),
    ],
)
def test_a_document_that_is_no_policy_is_refused_with_the_reason(text: str, kind: Kind, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        parse(text, kind)
