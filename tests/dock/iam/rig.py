"""IAM and STS without a daemon: boto3's clients, whose requests take the front door's own steps in this process."""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from dock.access.principals import Authorized
from dock.authorization.authorizer import Authorizer
from dock.aws import errors
from dock.aws.iam import Iam, totp
from dock.aws.own import OwnServices
from dock.aws.request import Identified, identify
from dock.aws.service import AwsError
from dock.aws.sts import Sts
from dock.home import Home
from dock.http import Answer
from dock.store import Store

ACCOUNT, OTHER = "000000000001", "000000000002"
URL = "http://127.0.0.1:4566"


@dataclass(frozen=True)
class Person:
    """A user with an access key and an MFA device."""

    name: str
    arn: str
    key: str
    secret: str
    serial: str
    seed: str


class Device:
    """Codes of a virtual MFA device; each is good once, so the next one may be of the step that comes."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._step = int(time.time() // totp.STEP_SECONDS) - 2

    def code(self) -> str:
        self._step = max(self._step + 1, int(time.time() // totp.STEP_SECONDS) - 1)
        return totp.code(self._seed, self._step)


class Rig:
    """`allowed` are the services whose calls end where they would be acted on: they answer nothing."""

    def __init__(self, root: Path) -> None:
        home = Home(root / "home")
        home.create()
        self.store = Store(home.database)
        self.cloud: Any = SimpleNamespace(home=home, store=self.store, services={})
        self.cloud.service = lambda kind: self.cloud.services[kind.name]
        # Nobody is asked for a resource's policy here: there is none.
        self.cloud.client = lambda *_: _Nobody()
        for kind in (Iam, Sts):
            self.cloud.services[kind.name] = kind(self.cloud)
        self.iam: Iam = self.cloud.services["iam"]
        self.authorizer = Authorizer(self.cloud, (ACCOUNT, OTHER))
        self.own = OwnServices(self.cloud.services)
        self.devices: dict[str, Device] = {}
        self._session: Any = boto3.session.Session()
        self._clients: dict[tuple[str | None, ...], Any] = {}
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        self._loop.close()
        self.store.close()

    def client(self, service: str, key: str = ACCOUNT, secret: str = "x", token: str | None = None) -> Any:
        known = (service, key, secret, token)
        if known not in self._clients:
            self._clients[known] = self._connect(service, key, secret, token)
        return self._clients[known]

    def _connect(self, service: str, key: str, secret: str, token: str | None) -> Any:
        made = self._session.client(
            service,
            endpoint_url=URL,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}),
        )
        made.meta.events.register("before-send", self._answer)
        return made

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body.read() if hasattr(body, "read") else bytes(body)
        headers = {
            name: value.decode() if isinstance(value, bytes) else str(value) for name, value in request.headers.items()
        }
        target = request.url.removeprefix(URL) or "/"
        identified = identify(
            request.method,
            target if target.startswith("/") else f"/{target}",
            _Headers({**headers, "Host": URL[7:]}),
            body,
        )
        answer = self._loop.run_until_complete(self._act(identified))
        pairs = dict(answer.headers.items() if hasattr(answer.headers, "items") else answer.headers)
        raw = SimpleNamespace(stream=lambda *a, **k: iter([answer.body]), read=io.BytesIO(answer.body).read)
        return AWSResponse(request.url, answer.status, pairs, raw)

    async def _act(self, identified: Identified) -> Answer:
        try:
            authorized: Authorized = await self.authorizer.authorize(identified)
        except AwsError as refusal:
            return Answer(*errors.render(identified, refusal, "r"), "r", refusal.code)
        if self.own.serves(identified):
            return await self.own.answer(identified, authorized)
        reached = AwsError("Reached", "the request would be acted on now", 418)
        return Answer(*errors.render(identified, reached, "r"), "r", "Reached")

    # people

    def person(self, name: str, account: str = ACCOUNT, groups: tuple[str, ...] = ()) -> Person:
        iam = self.client("iam", account)
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        key = iam.create_access_key(UserName=name)["AccessKey"]
        device = iam.create_virtual_mfa_device(VirtualMFADeviceName=name)["VirtualMFADevice"]
        seed = device["Base32StringSeed"].decode()
        serial = device["SerialNumber"]
        self.devices[serial] = Device(seed)
        first = self.devices[serial].code()
        iam.enable_mfa_device(
            UserName=name,
            SerialNumber=serial,
            AuthenticationCode1=first,
            AuthenticationCode2=self.devices[serial].code(),
        )
        for group in groups:
            iam.add_user_to_group(GroupName=group, UserName=name)
        return Person(name, arn, key["AccessKeyId"], key["SecretAccessKey"], serial, seed)

    def as_person(self, service: str, person: Person) -> Any:
        return self.client(service, person.key, person.secret)

    def assume(self, caller: Any, role: str, name: str = "test", **more: Any) -> dict[str, Any]:
        """The credentials of a role."""
        return dict(caller.assume_role(RoleArn=role, RoleSessionName=name, **more)["Credentials"])

    def with_mfa(self, person: Person, role: str, **more: Any) -> dict[str, Any]:
        code = self.devices[person.serial].code()
        return self.assume(self.as_person("sts", person), role, SerialNumber=person.serial, TokenCode=code, **more)

    def as_role(self, service: str, credentials: dict[str, Any]) -> Any:
        return self.client(
            service, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
        )


class _Nobody:
    def __getattr__(self, name: str) -> Any:
        def refuse(**_: Any) -> None:
            raise ClientError({"Error": {"Code": "NotFound", "Message": name}}, name)

        return refuse


class _Headers(dict[str, str]):
    """Without regard to capitals."""

    def get(self, name: str, default: Any = None) -> Any:
        return next((value for known, value in self.items() if known.lower() == name.lower()), default)


def outcome(call: Any, **parameters: Any) -> str:
    """`allowed`, or the code of the refusal."""
    try:
        call(**parameters)
    except ClientError as problem:
        code = str(problem.response["Error"]["Code"])
        return "allowed" if code == "Reached" else code
    return "allowed"


def message(call: Any, **parameters: Any) -> str:
    """The words of a refusal."""
    try:
        call(**parameters)
    except ClientError as problem:
        return str(problem.response["Error"]["Message"])
    raise AssertionError("it was allowed")
