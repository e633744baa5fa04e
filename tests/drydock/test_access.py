"""The access review, and acting as a role, as a person does it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import boto3.session
import pytest

from dock.aws.iam import totp
from dock.aws.logs import Logs
from dock.cloud import ACCOUNTS, REGIONS, Cloud
from dock.home import Home
from drydock import access
from drydock.errors import DrydockError
from tests.dock.conftest import home, running_cloud  # noqa: F401  (home is a fixture)
from tests.dock.iam import platform

pytestmark = pytest.mark.dock


@pytest.fixture
async def cloud(home: Home) -> Any:  # noqa: F811
    async with running_cloud(home, [Logs]) as made:
        published = {"endpoint_url": made.url, "account": ACCOUNTS[0], "region": REGIONS[0]}
        (home.run / "endpoint.json").write_text(json.dumps(published))
        await asyncio.to_thread(platform.install, made.client("iam", ACCOUNTS[0], REGIONS[0]))
        yield made


async def test_the_review_says_what_each_role_may_and_when_it_was_used(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    await asyncio.to_thread(access.review, cloud.home, "chatvrm-", as_json=True)
    report = json.loads(capsys.readouterr().out)
    assert (report["schema_version"], report["account"]) == (1, ACCOUNTS[0])
    may = {role["role"]: role["may"] for role in report["roles"]}
    assert set(may["chatvrm-break-glass-role"].values()) == {"all"}
    assert may["chatvrm-readonly-role"] == dict.fromkeys(access.CLASSES, "none") | {"read": "all", "logs": "all"}
    assert (may["chatvrm-deployer-role"]["secrets"], may["chatvrm-deployer-role"]["unbound"]) == ("none", "some")
    assert may["chatvrm-database-write-role"]["secrets"] == "some"
    assert may["chatvrm-admin-role"]["people"] == "some"
    assert may["chatvrm-local-run-verify"]["deploy"] == "none"
    assert all(role["used"] is None for role in report["roles"])
    await asyncio.to_thread(access.review, cloud.home, None, as_json=False)
    assert re.search(r"reviewed \d{4}-\d\d-\d\d", capsys.readouterr().out)
    with pytest.raises(DrydockError, match="no role whose name begins with 'nobody'"):
        await asyncio.to_thread(access.review, cloud.home, "nobody", as_json=True)


async def test_a_person_acts_as_a_role_with_a_code_and_root_does_not(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCOUNTS[0])
    with pytest.raises(DrydockError, match="takes on no role"):
        access.script_as(cloud.home, "chatvrm-readonly-role", None)
    await asyncio.to_thread(access.add_user, cloud.home, "eva", ["chatvrm-readonly"])
    printed = capsys.readouterr().out
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        found = re.search(rf"export {name}=(\S+)", printed)
        assert found is not None
        monkeypatch.setenv(name, found[1].strip("'"))
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    seed = re.search(r"secret=(\w+)", printed)
    assert seed is not None
    with pytest.raises(DrydockError, match="AccessDenied"):
        await asyncio.to_thread(access.script_as, cloud.home, "chatvrm-readonly-role", None)
    import time

    code = totp.code(seed[1], int(time.time() // 30) + 1)
    script = await asyncio.to_thread(access.script_as, cloud.home, "chatvrm-readonly-role", code)
    values = dict(re.findall(r"^export (AWS_\w+)='?([^'\n]+)", script, re.MULTILINE))

    def whoami() -> str:
        session: Any = boto3.session.Session()
        sts = session.client(
            "sts",
            endpoint_url=cloud.url,
            region_name=REGIONS[0],
            aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=values["AWS_SESSION_TOKEN"],
        )
        return str(sts.get_caller_identity()["Arn"])

    assert ":assumed-role/chatvrm-readonly-role/" in await asyncio.to_thread(whoami)
    with pytest.raises(DrydockError, match="already exists"):
        await asyncio.to_thread(access.add_user, cloud.home, "eva", [])
