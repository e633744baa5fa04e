"""Access in a running dock: resources' own policies, two accounts, emulated services, identity providers, restarts."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import boto3.session
import pytest
import pytest_asyncio
from aiohttp import web
from botocore.config import Config
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from dock.aws.logs import Logs
from dock.cloud import ACCOUNTS, Cloud
from dock.home import Home
from tests.dock.conftest import running_cloud
from tests.dock.iam import platform
from tests.dock.iam.rig import message, outcome
from tests.dock.iam.roles import allow, document

pytestmark = [pytest.mark.dock, pytest.mark.asyncio(loop_scope="module")]
ACCOUNT, OTHER = ACCOUNTS


class Dock:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._session: Any = boto3.session.Session()

    def client(self, service: str, key: str = ACCOUNT, secret: str = "x", token: str | None = None, **more: Any) -> Any:
        return self._session.client(
            service,
            endpoint_url=self.cloud.url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, **more),
        )

    def user(self, name: str, *statements: dict[str, Any], account: str = ACCOUNT) -> Callable[..., Any]:
        """A new user's clients, by service."""
        iam = self.client("iam", account)
        iam.create_user(UserName=name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return lambda service, **more: self.client(service, key["AccessKeyId"], key["SecretAccessKey"], **more)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dock() -> AsyncIterator[Dock]:
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    async with running_cloud(Home(root / "home"), [Logs]) as cloud:
        yield Dock(cloud)
    shutil.rmtree(root, ignore_errors=True)


async def test_emulated_services_deny_in_their_own_words(dock: Dock) -> None:
    def act() -> None:
        eva = dock.user("words")
        assert outcome(eva("s3").list_buckets) == "AccessDenied"
        assert outcome(eva("ec2").describe_vpcs) == "UnauthorizedOperation"
        assert outcome(eva("sns").list_topics) == "AuthorizationError"
        assert outcome(eva("dynamodb").list_tables) == "AccessDeniedException"
        said = message(eva("sqs").create_queue, QueueName="q")
        assert said == (
            f"User: arn:aws:iam::{ACCOUNT}:user/words is not authorized to perform: sqs:CreateQueue on resource:"
            f" arn:aws:sqs:us-east-1:{ACCOUNT}:q because no identity-based policy allows the sqs:CreateQueue action"
        )

    await asyncio.to_thread(act)


async def test_a_bucket_lets_another_account_in_when_both_say_so(dock: Dock) -> None:
    def act() -> None:
        root = dock.client("s3")
        root.create_bucket(Bucket="shared-books")
        root.put_object(Bucket="shared-books", Key="a b.txt", Body=b"hello")
        reads = allow("s3:GetObject", on="arn:aws:s3:::shared-books/*")
        guest = dock.user("guest", reads, account=OTHER)("s3")
        given = {"Bucket": "shared-books", "Key": "a b.txt"}
        assert outcome(guest.get_object, **given) == "AccessDenied"
        lets_in = {**reads, "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"}}
        root.put_bucket_policy(Bucket="shared-books", Policy=document(lets_in))
        assert guest.get_object(**given)["Body"].read() == b"hello"
        assert outcome(guest.put_object, Body=b"x", **given) == "AccessDenied"
        # A denial in the bucket's policy holds for the own account as well, from the next call on.
        eva = dock.user("librarian", allow("s3:*"))("s3")
        assert outcome(eva.get_object, **given) == "allowed"
        denies = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::shared-books/*",
        }
        root.put_bucket_policy(Bucket="shared-books", Policy=document(denies))
        assert "explicit deny in a resource-based policy" in message(eva.get_object, **given)

    await asyncio.to_thread(act)


async def test_a_presigned_url_is_good_for_who_made_it_and_for_its_time(dock: Dock) -> None:
    import urllib.error
    import urllib.request

    def fetch(url: str) -> int:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as problem:
            return problem.code

    def act() -> None:
        eva = dock.user("presigner", allow("s3:*", on=["arn:aws:s3:::presigned", "arn:aws:s3:::presigned/*"]))
        s3 = eva("s3", signature_version="s3v4")
        s3.create_bucket(Bucket="presigned")
        s3.put_object(Bucket="presigned", Key="a", Body=b"hello")
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "a"}, ExpiresIn=60)
        assert fetch(url) == 200
        assert fetch(url.replace("/a?", "/b?")) == 403
        assert fetch(url.replace("X-Amz-Expires=60", "X-Amz-Expires=600")) == 403
        assert fetch(f"{dock.cloud.url}/presigned/a") == 403

    await asyncio.to_thread(act)


async def test_a_secret_takes_the_permission_for_its_key_too(dock: Dock) -> None:
    def act() -> None:
        kms, secrets = dock.client("kms"), dock.client("secretsmanager")
        key = kms.create_key()["KeyMetadata"]["Arn"]
        made = secrets.create_secret(Name="keyed", SecretString="canary", KmsKeyId=key)
        reads = allow("secretsmanager:GetSecretValue", on=made["ARN"])
        eva = dock.user("reader", reads)("secretsmanager")
        assert "kms:Decrypt" in message(eva.get_secret_value, SecretId="keyed")
        via = {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}}
        max_ = dock.user("decrypter", reads, allow("kms:Decrypt", on=key, Condition=via))
        assert max_("secretsmanager").get_secret_value(SecretId="keyed")["SecretString"] == "canary"
        # The key itself is closed to him: only Secrets Manager may use it for him.
        blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        assert outcome(max_("kms").decrypt, KeyId=key, CiphertextBlob=blob) == "AccessDeniedException"
        # The key's policy doesn't speak of the account any more, so that its policies count for nothing.
        closed = {"Effect": "Allow", "Principal": {"Service": "logs.amazonaws.com"}, "Action": "kms:*", "Resource": "*"}
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document(closed))
        said = message(max_("secretsmanager").get_secret_value, SecretId="keyed")
        assert "no resource-based policy allows the kms:Decrypt action" in said

    await asyncio.to_thread(act)


async def test_a_queue_takes_what_its_policy_lets_in(dock: Dock) -> None:
    def act() -> None:
        sqs = dock.client("sqs")
        url = sqs.create_queue(QueueName="inbox")["QueueUrl"]
        arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:inbox"
        guest = dock.user("sender", allow("sqs:SendMessage", on=arn), account=OTHER)("sqs")
        assert outcome(guest.send_message, QueueUrl=url, MessageBody="x") == "AccessDeniedException"
        lets_in = {**allow("sqs:SendMessage", on=arn), "Principal": {"AWS": OTHER}}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(lets_in)})
        assert outcome(guest.send_message, QueueUrl=url, MessageBody="x") == "allowed"
        assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "x"

    await asyncio.to_thread(act)


# GitHub's workflows


class Issuer:
    """Signs tokens as an OpenID Connect provider does, and shows its key."""

    def __init__(self, address: str, port: int) -> None:
        self.url = f"http://{address}:{port}"
        self._address, self._port = address, port
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application()
        application.router.add_get("/.well-known/openid-configuration", self._discovery)
        application.router.add_get("/keys", self._keys)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address, self._port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _discovery(self, _: web.Request) -> web.Response:
        return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})

    async def _keys(self, _: web.Request) -> web.Response:
        numbers = self._key.public_key().public_numbers()
        shown = {"kty": "RSA", "kid": "one", "n": _text(_bytes(numbers.n)), "e": _text(_bytes(numbers.e))}
        return web.json_response({"keys": [shown]})

    def token(self, key: rsa.RSAPrivateKey | None = None, **claims: Any) -> str:
        now = int(time.time())
        known = {
            "iss": self.url,
            "aud": "sts.amazonaws.com",
            "sub": "repo:chatvrm/platform:environment:local",
            "repository_id": "7654321",
            "job_workflow_ref": "chatvrm/platform/.github/workflows/deploy.yml@refs/heads/main",
            "iat": now,
            "exp": now + 300,
        }
        head = _text(json.dumps({"alg": "RS256", "kid": "one", "typ": "JWT"}).encode())
        body = _text(json.dumps({**known, **claims}).encode())
        signature = (key or self._key).sign(f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{head}.{body}.{_text(signature)}"


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_a_workflow_deploys_by_its_token_and_no_other_does(dock: Dock) -> None:
    issuer = Issuer(dock.cloud.addresses.front_door.rpartition(".")[0] + ".9", 8443)
    await issuer.start()
    role = platform.role_arn(f"{platform.PREFIX}-github-deploy")

    def act() -> None:
        platform.install(dock.client("iam"), issuer=issuer.url)
        unsigned = dock.client("sts", signature_version=__import__("botocore").UNSIGNED)

        def found(token: str) -> str:
            return outcome(
                unsigned.assume_role_with_web_identity, RoleArn=role, RoleSessionName="deploy", WebIdentityToken=token
            )

        assert found(issuer.token()) == "allowed"
        assert found(issuer.token(sub="repo:chatvrm@1234567/platform@7654321:environment:local")) == "allowed"
        for wrong in (
            {"sub": "repo:chatvrm/platform:environment:production"},
            {"sub": "repo:chatvrm/platform:ref:refs/heads/main"},
            {"sub": "repo:mallory/platform:environment:local"},
            {"repository_id": "1"},
            {"job_workflow_ref": "chatvrm/platform/.github/workflows/other.yml@refs/heads/main"},
            {"job_workflow_ref": "chatvrm/platform/.github/workflows/deploy.yml@refs/heads/evil"},
        ):
            assert found(issuer.token(**wrong)) == "AccessDenied", wrong
        assert found(issuer.token(aud="somebody-else")) == "InvalidIdentityToken"
        assert found(issuer.token(iss="http://127.0.0.1:1")) == "InvalidIdentityToken"
        assert found(issuer.token(exp=int(time.time()) - 3600)) == "ExpiredTokenException"
        forger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        assert found(issuer.token(forger)) == "InvalidIdentityToken"
        assert found("nonsense") == "InvalidIdentityToken"
        answer = unsigned.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="deploy", WebIdentityToken=issuer.token()
        )
        issued = answer["Credentials"]
        sts = dock.client("sts", issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])
        run = platform.role_arn(f"{platform.PREFIX}-run-deploy")
        assert outcome(sts.assume_role, RoleArn=run, RoleSessionName="deploy") == "allowed"
        admin = platform.role_arn("chatvrm-admin-role")
        assert outcome(sts.assume_role, RoleArn=admin, RoleSessionName="deploy") == "AccessDenied"

    try:
        await asyncio.to_thread(act)
    finally:
        await issuer.stop()


# speed, and what outlives a daemon


async def test_a_decision_takes_less_than_a_millisecond(dock: Dock) -> None:
    def act() -> None:
        user = dock.user("fast", *(allow(f"logs:Describe{letter}*") for letter in "ABCDEFGHIJKLMNOP"))("logs")
        root = dock.client("logs")
        took: dict[str, list[float]] = {"root": [], "user": []}
        for _ in range(150):
            for name, client in (("root", root), ("user", user)):
                began = time.perf_counter()
                client.describe_log_groups()
                took[name].append(time.perf_counter() - began)
        # The fastest tenth: what else this machine does meanwhile is not the decision's.
        fast = {name: statistics.quantiles(times, n=10)[0] for name, times in took.items()}
        assert fast["user"] - fast["root"] < 0.001

    await asyncio.to_thread(act)


async def test_keys_and_sessions_outlive_a_daemon_that_was_killed(tmp_path: Path) -> None:
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    home = Home(root / "home")
    first = Cloud(home, [Logs])
    await first.start()

    def begin() -> Any:
        dock = Dock(first)
        eva = dock.user("eva", allow("sts:AssumeRole", "logs:*"))
        trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        arn = dock.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
        dock.client("iam").put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=document(allow("logs:*")))
        return eva, eva("sts").assume_role(RoleArn=arn, RoleSessionName="before")["Credentials"]

    eva, issued = await asyncio.to_thread(begin)
    # Nothing is stopped in order: what was acknowledged is on the disk.
    await first.leave()
    async with running_cloud(home, [Logs]) as second:

        def go_on() -> None:
            dock = Dock(second)
            key = issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"]
            assert dock.client("sts", *key).get_caller_identity()["Arn"].endswith(":assumed-role/r/before")
            assert outcome(dock.client("logs", *key).describe_log_groups) == "allowed"
            assert outcome(eva("logs").describe_log_groups) == "allowed"

        await asyncio.to_thread(go_on)
    shutil.rmtree(root, ignore_errors=True)
