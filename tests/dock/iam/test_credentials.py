"""Keys, signatures, tokens, MFA codes: who a request is from."""

from __future__ import annotations

import time
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError

from dock.aws.iam import totp
from tests.dock.iam.rig import ACCOUNT, OTHER, Rig, message, outcome
from tests.dock.iam.roles import allow, document


def test_the_account_number_is_the_root_user_of_each_account(rig: Rig) -> None:
    for account in (ACCOUNT, OTHER):
        identity = rig.client("sts", account).get_caller_identity()
        assert (identity["Account"], identity["Arn"]) == (account, f"arn:aws:iam::{account}:root")


def test_a_key_is_known_by_its_secret_and_no_other(rig: Rig) -> None:
    eva = rig.person("eva")
    assert rig.as_person("sts", eva).get_caller_identity()["Arn"] == eva.arn
    assert outcome(rig.client("sts", eva.key, "wrong").get_caller_identity) == "SignatureDoesNotMatch"
    assert outcome(rig.client("logs", eva.key, "wrong").describe_log_groups) == "InvalidSignatureException"
    unknown = eva.key[:-4] + ("AAAA" if not eva.key.endswith("AAAA") else "BBBB")
    assert outcome(rig.client("sts", unknown, eva.secret).get_caller_identity) == "InvalidClientTokenId"
    assert outcome(rig.client("logs", unknown, eva.secret).describe_log_groups) == "UnrecognizedClientException"
    assert outcome(rig.client("s3", unknown, eva.secret).list_buckets) == "InvalidAccessKeyId"


def test_a_key_says_whose_it_is_even_when_nobody_knows_it(rig: Rig) -> None:
    eva = rig.person("eva", OTHER)
    assert rig.client("sts").get_access_key_info(AccessKeyId=eva.key)["Account"] == OTHER


def test_a_key_that_was_switched_off_or_deleted_is_refused_at_once(rig: Rig) -> None:
    eva, iam = rig.person("eva"), rig.client("iam")
    sts = rig.as_person("sts", eva)
    iam.update_access_key(UserName="eva", AccessKeyId=eva.key, Status="Inactive")
    assert outcome(sts.get_caller_identity) == "InvalidClientTokenId"
    iam.update_access_key(UserName="eva", AccessKeyId=eva.key, Status="Active")
    assert outcome(sts.get_caller_identity) == "allowed"
    iam.delete_access_key(UserName="eva", AccessKeyId=eva.key)
    assert outcome(sts.get_caller_identity) == "InvalidClientTokenId"


def test_a_user_has_two_keys_at_most_and_their_secrets_are_shown_once(rig: Rig) -> None:
    eva, iam = rig.person("eva"), rig.client("iam")
    iam.create_access_key(UserName="eva")
    assert outcome(iam.create_access_key, UserName="eva") == "LimitExceeded"
    assert "SecretAccessKey" not in str(iam.list_access_keys(UserName="eva")["AccessKeyMetadata"])
    for path in rig.cloud.home.root.rglob("*"):
        if path.is_file():
            assert eva.secret.encode() not in path.read_bytes()
            assert eva.seed.encode() not in path.read_bytes()


def test_a_request_that_was_changed_on_its_way_is_refused(rig: Rig) -> None:
    eva = rig.person("eva")
    sts = rig.as_person("sts", eva)
    sts.meta.events.register_first("before-send", lambda request, **_: setattr(request, "body", request.body + "&X=1"))
    assert outcome(sts.get_caller_identity) == "SignatureDoesNotMatch"


def test_a_request_from_another_time_is_refused(rig: Rig) -> None:
    eva = rig.person("eva")
    sts = rig.as_person("sts", eva)
    with patch("dock.authorization.callers.time.time", lambda now=time.time: now() + 3600):
        assert outcome(sts.get_caller_identity) == "SignatureDoesNotMatch"
        assert "expired" in message(sts.get_caller_identity)


def role(rig: Rig, name: str, trust: str, *statements: dict[str, object], **more: object) -> str:
    iam = rig.client("iam")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **more)["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*statements))
    return arn


def trusts(who: str, **condition: object) -> str:
    return document({"Effect": "Allow", "Principal": {"AWS": who}, "Action": "sts:AssumeRole", **condition})


def test_a_session_ends_and_says_so(rig: Rig) -> None:
    eva = rig.person("eva")
    arn = role(rig, "reader", trusts(eva.arn), allow("logs:*"), MaxSessionDuration=7200)
    credentials = rig.assume(rig.as_person("sts", eva), arn, DurationSeconds=900)
    sts = rig.as_role("sts", credentials)
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/test"
    assert 890 < credentials["Expiration"].timestamp() - time.time() <= 900
    later = time.time() + 901
    with patch("dock.authorization.callers.time.time", lambda: later):
        assert outcome(sts.get_caller_identity) == "ExpiredToken"
        assert outcome(rig.as_role("logs", credentials).describe_log_groups) == "ExpiredTokenException"


def test_a_token_belongs_to_its_key_and_is_none_when_it_is_made_up(rig: Rig) -> None:
    eva = rig.person("eva")
    arn = role(rig, "reader", trusts(eva.arn))
    one, two = (rig.assume(rig.as_person("sts", eva), arn) for _ in range(2))
    assert outcome(rig.as_role("sts", {**one, "SessionToken": two["SessionToken"]}).get_caller_identity) == (
        "InvalidClientTokenId"
    )
    assert outcome(rig.as_role("sts", {**one, "SessionToken": "nonsense"}).get_caller_identity) == (
        "InvalidClientTokenId"
    )


def test_sessions_of_a_role_end_with_the_role_also_when_another_gets_its_name(rig: Rig) -> None:
    eva, iam = rig.person("eva"), rig.client("iam")
    arn = role(rig, "reader", trusts(eva.arn))
    sts = rig.as_role("sts", rig.assume(rig.as_person("sts", eva), arn))
    iam.delete_role(RoleName="reader")
    role(rig, "reader", trusts(eva.arn))
    assert outcome(sts.get_caller_identity) == "InvalidClientTokenId"


def test_root_takes_on_no_role(rig: Rig) -> None:
    arn = role(rig, "reader", trusts(f"arn:aws:iam::{ACCOUNT}:root"))
    assert "root accounts" in message(rig.client("sts").assume_role, RoleArn=arn, RoleSessionName="test")


WITH_MFA = {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}


def test_a_role_that_wants_mfa_takes_a_true_code_once(rig: Rig) -> None:
    eva = rig.person("eva")
    arn = role(rig, "careful", trusts(eva.arn, **WITH_MFA))
    sts, device = rig.as_person("sts", eva), rig.devices[eva.serial]
    assert outcome(sts.assume_role, RoleArn=arn, RoleSessionName="test") == "AccessDenied"
    given = {"RoleArn": arn, "RoleSessionName": "test", "SerialNumber": eva.serial}
    step = int(time.time() // 30)
    recent = {totp.code(eva.seed, step + offset) for offset in range(-2, 3)}
    wrong = next(f"{number:06d}" for number in range(10) if f"{number:06d}" not in recent)
    assert "invalid MFA" in message(sts.assume_role, TokenCode=wrong, **given)
    code = device.code()
    assert outcome(sts.assume_role, TokenCode=code, **given) == "allowed"
    assert "invalid MFA" in message(sts.assume_role, TokenCode=code, **given)


def test_a_device_of_somebody_else_proves_nothing(rig: Rig) -> None:
    eva, max_ = rig.person("eva"), rig.person("max")
    arn = role(rig, "careful", trusts(eva.arn, **WITH_MFA))
    code = rig.devices[max_.serial].code()
    assert "invalid MFA" in message(
        rig.as_person("sts", eva).assume_role,
        RoleArn=arn,
        RoleSessionName="test",
        SerialNumber=max_.serial,
        TokenCode=code,
    )


def test_a_device_is_enabled_with_two_codes_in_a_row(rig: Rig) -> None:
    iam = rig.client("iam")
    iam.create_user(UserName="eva")
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="eva")["VirtualMFADevice"]
    seed, step = device["Base32StringSeed"].decode(), int(time.time() // 30)
    given = {"UserName": "eva", "SerialNumber": device["SerialNumber"]}
    one, next_but_one = totp.code(seed, step - 1), totp.code(seed, step + 1)
    assert outcome(
        iam.enable_mfa_device, AuthenticationCode1=one, AuthenticationCode2=next_but_one, **given
    ) == "InvalidAuthenticationCode"  # fmt: skip
    iam.enable_mfa_device(AuthenticationCode1=one, AuthenticationCode2=totp.code(seed, step), **given)
    assert outcome(iam.delete_virtual_mfa_device, SerialNumber=device["SerialNumber"]) == "DeleteConflict"


def test_codes_are_those_of_the_standard() -> None:
    # RFC 6238, appendix B, SHA-1: the last six of the eight digits.
    seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert [totp.code(seed, moment // 30) for moment in (59, 1111111109, 20000000000)] == ["287082", "081804", "353130"]


def test_a_session_token_carries_mfa_and_without_it_can_not_touch_iam(rig: Rig) -> None:
    eva, iam = rig.person("eva"), rig.client("iam")
    iam.put_user_policy(
        UserName="eva",
        PolicyName="p",
        PolicyDocument=document(allow("iam:ListUsers"), allow("logs:*", **WITH_MFA)),
    )
    sts = rig.as_person("sts", eva)
    assert outcome(rig.as_person("logs", eva).describe_log_groups) == "AccessDeniedException"
    plain = sts.get_session_token()["Credentials"]
    assert outcome(rig.as_role("iam", plain).list_users) == "InvalidClientTokenId"
    assert outcome(rig.as_role("logs", plain).describe_log_groups) == "AccessDeniedException"
    code = rig.devices[eva.serial].code()
    proven = sts.get_session_token(SerialNumber=eva.serial, TokenCode=code)["Credentials"]
    assert outcome(rig.as_role("iam", proven).list_users) == "allowed"
    assert outcome(rig.as_role("logs", proven).describe_log_groups) == "allowed"
    assert rig.as_role("sts", proven).get_caller_identity()["Arn"] == eva.arn
    assert outcome(rig.as_role("sts", proven).get_session_token) == "AccessDenied"


def test_federation_tokens_are_refused(rig: Rig) -> None:
    eva = rig.person("eva")
    assert outcome(rig.as_person("sts", eva).get_federation_token, Name="visitor") == "AccessDenied"


def test_a_chain_of_roles_keeps_its_tags_and_lasts_an_hour(rig: Rig) -> None:
    eva = rig.person("eva")
    iam = rig.client("iam")
    session = {"Effect": "Allow", "Principal": {"AWS": eva.arn}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    first = role(rig, "first", document(session), allow("sts:AssumeRole", "sts:TagSession"))
    second = role(
        rig, "second", trusts(first, Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}}),
        allow("logs:*", Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}}), MaxSessionDuration=7200,
    )  # fmt: skip
    untagged = rig.assume(rig.as_person("sts", eva), first)
    assert outcome(rig.as_role("sts", untagged).assume_role, RoleArn=second, RoleSessionName="s2") == "AccessDenied"
    tagged = rig.assume(
        rig.as_person("sts", eva), first, Tags=[{"Key": "team", "Value": "blue"}], TransitiveTagKeys=["team"]
    )
    sts = rig.as_role("sts", tagged)
    assert outcome(sts.assume_role, RoleArn=second, RoleSessionName="s2", DurationSeconds=7200) == "ValidationError"
    chained = rig.assume(sts, second)
    assert outcome(rig.as_role("logs", chained).describe_log_groups) == "allowed"
    assert iam.get_role(RoleName="second")["Role"]["RoleLastUsed"]["Region"] == "us-east-1"


def test_a_session_can_do_no_more_than_its_session_policy(rig: Rig) -> None:
    eva = rig.person("eva")
    arn = role(rig, "reader", trusts(eva.arn), allow("logs:*", "ecs:*"))
    limited = rig.assume(rig.as_person("sts", eva), arn, Policy=document(allow("logs:*", "rds:*")))
    assert outcome(rig.as_role("logs", limited).describe_log_groups) == "allowed"
    assert "no session policy allows" in message(rig.as_role("ecs", limited).list_clusters)
    assert "no identity-based policy allows" in message(rig.as_role("rds", limited).describe_db_instances)


def test_an_external_id_must_be_the_agreed_one(rig: Rig) -> None:
    eva = rig.person("eva")
    arn = role(rig, "partner", trusts(eva.arn, Condition={"StringEquals": {"sts:ExternalId": "agreed"}}))
    sts = rig.as_person("sts", eva)
    assert outcome(sts.assume_role, RoleArn=arn, RoleSessionName="test") == "AccessDenied"
    assert outcome(sts.assume_role, RoleArn=arn, RoleSessionName="test", ExternalId="other") == "AccessDenied"
    assert outcome(sts.assume_role, RoleArn=arn, RoleSessionName="test", ExternalId="agreed") == "allowed"


def test_a_role_of_another_account_takes_the_consent_of_both(rig: Rig) -> None:
    eva, there = rig.person("eva"), rig.client("iam", OTHER)
    trust = trusts(f"arn:aws:iam::{ACCOUNT}:root")
    arn = there.create_role(RoleName="guest", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    sts = rig.as_person("sts", eva)
    # The role trusts the account, but the account doesn't let her.
    assert outcome(sts.assume_role, RoleArn=arn, RoleSessionName="test") == "AccessDenied"
    rig.client("iam").put_user_policy(
        UserName="eva", PolicyName="p", PolicyDocument=document(allow("sts:AssumeRole", on=arn))
    )
    there.put_role_policy(RoleName="guest", PolicyName="p", PolicyDocument=document(allow("iam:ListUsers")))
    credentials = rig.assume(sts, arn)
    assert rig.as_role("sts", credentials).get_caller_identity()["Account"] == OTHER
    assert rig.as_role("iam", credentials).list_users()["Users"] == []
    # The other account takes its trust back, and her permission is worth nothing.
    there.update_assume_role_policy(RoleName="guest", PolicyDocument=trusts(f"arn:aws:iam::{OTHER}:root"))
    assert outcome(sts.assume_role, RoleArn=arn, RoleSessionName="test") == "AccessDenied"


def test_a_trust_policy_names_principals_that_exist(rig: Rig) -> None:
    with pytest.raises(ClientError, match="Invalid principal"):
        role(rig, "r", trusts(f"arn:aws:iam::{ACCOUNT}:user/nobody"))
    with pytest.raises(ClientError, match="prohibited field Resource"):
        role(rig, "r", document({**allow("sts:AssumeRole"), "Principal": {"AWS": "*"}}))


def test_what_is_not_known_is_denied_to_all_but_root(rig: Rig) -> None:
    eva = rig.person("eva")
    rig.client("iam").put_user_policy(UserName="eva", PolicyName="p", PolicyDocument=document(allow("*")))
    assert outcome(rig.as_person("polly", eva).describe_voices) == "AccessDeniedException"
    assert "does not know which permission" in message(rig.as_person("polly", eva).describe_voices)
