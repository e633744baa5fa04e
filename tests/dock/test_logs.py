"""CloudWatch Logs as a client sees it, and its filter patterns."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dock.aws.logs import Logs
from dock.aws.logs.archive import Archive
from dock.aws.logs.pattern import compile_pattern
from dock.aws.service import AwsError
from dock.cloud import Cloud
from dock.home import Home
from dock.store import Scope
from tests.dock.conftest import call, running_cloud

GROUP, STREAM = "/chatvrm/local/web", "web/web/1"
HERE = Scope("000000000001", "us-east-1")
DAY = 86_400_000


@pytest.fixture
async def cloud(home: Home) -> AsyncIterator[Cloud]:
    async with running_cloud(home, [Logs]) as running:
        yield running


@pytest.fixture
async def logs(cloud: Cloud, account: str, region: str) -> Any:
    client = cloud.client("logs", account, region)
    await call(client.create_log_group, logGroupName=GROUP, tags={"team": "chat"})
    await call(client.create_log_stream, logGroupName=GROUP, logStreamName=STREAM)
    return client


def now() -> int:
    return int(time.time() * 1000)


async def put(logs: Any, *messages: str, at: int | None = None) -> dict[str, Any]:
    began = now() if at is None else at
    events = [{"timestamp": began + number, "message": message} for number, message in enumerate(messages)]
    return dict(await call(logs.put_log_events, logGroupName=GROUP, logStreamName=STREAM, logEvents=events))


def messages(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


@pytest.mark.dock
async def test_events_are_read_forward_and_backward_in_pages(logs: Any) -> None:
    await put(logs, *(f"line {number}" for number in range(10)))
    at = {"logGroupName": GROUP, "logStreamName": STREAM, "limit": 4}
    first = await call(logs.get_log_events, **at, startFromHead=True)
    assert messages(first) == [f"line {number}" for number in range(4)]
    second = await call(logs.get_log_events, **at, startFromHead=True, nextToken=first["nextForwardToken"])
    assert messages(second) == [f"line {number}" for number in range(4, 8)]
    latest = await call(logs.get_log_events, **at)
    assert messages(latest) == [f"line {number}" for number in range(6, 10)]
    before = await call(logs.get_log_events, **at, nextToken=latest["nextBackwardToken"])
    assert messages(before) == [f"line {number}" for number in range(2, 6)]
    # At the end the token stays, and finds what is written later.
    end = await call(logs.get_log_events, **at, nextToken=latest["nextForwardToken"])
    assert messages(end) == []
    assert end["nextForwardToken"] == latest["nextForwardToken"]
    await put(logs, "later", at=now() + 1000)
    assert messages(await call(logs.get_log_events, **at, nextToken=end["nextForwardToken"])) == ["later"]


@pytest.mark.dock
async def test_an_empty_stream_can_be_followed_from_its_start(logs: Any) -> None:
    at = {"logGroupName": GROUP, "logStreamName": STREAM}
    for head in (True, False):
        empty = await call(logs.get_log_events, **at, startFromHead=head)
        assert messages(empty) == []
        again = await call(logs.get_log_events, **at, nextToken=empty["nextForwardToken"])
        assert again["nextForwardToken"] == empty["nextForwardToken"]
    await put(logs, "first")
    assert messages(await call(logs.get_log_events, **at, nextToken=empty["nextForwardToken"])) == ["first"]


@pytest.mark.dock
async def test_filter_log_events_searches_all_streams_and_pages(logs: Any) -> None:
    await call(logs.create_log_stream, logGroupName=GROUP, logStreamName="other")
    lines = [json.dumps({"status": status, "path": "/api"}) for status in (200, 500, 503, 404)]
    await put(logs, *lines)
    event = {"timestamp": now(), "message": "plain ERROR"}
    await call(logs.put_log_events, logGroupName=GROUP, logStreamName="other", logEvents=[event])
    failed = await call(logs.filter_log_events, logGroupName=GROUP, filterPattern="{ $.status >= 500 }")
    assert messages(failed) == lines[1:3]
    assert {event["logStreamName"] for event in failed["events"]} == {STREAM}
    plain = await call(logs.filter_log_events, logGroupName=GROUP, filterPattern="ERROR")
    assert [event["logStreamName"] for event in plain["events"]] == ["other"]
    page, seen = {}, []
    while True:
        page = await call(
            logs.filter_log_events,
            logGroupName=GROUP,
            limit=2,
            **({"nextToken": page["nextToken"]} if "nextToken" in page else {}),
        )
        seen += messages(page)
        if "nextToken" not in page:
            break
    assert sorted(seen) == sorted([*lines, "plain ERROR"])
    only = await call(logs.filter_log_events, logGroupName=GROUP, logStreamNames=["other"])
    assert messages(only) == ["plain ERROR"]


@pytest.mark.dock
async def test_what_the_service_refuses_is_refused(logs: Any) -> None:
    async def code(method: Any, **parameters: Any) -> str:
        with pytest.raises(ClientError) as caught:
            await call(method, **parameters)
        return str(caught.value.response["Error"]["Code"])

    assert await code(logs.create_log_group, logGroupName=GROUP) == "ResourceAlreadyExistsException"
    assert await code(logs.put_retention_policy, logGroupName=GROUP, retentionInDays=2) == "InvalidParameterException"
    unordered = [{"timestamp": now() + 5, "message": "b"}, {"timestamp": now(), "message": "a"}]
    at = {"logGroupName": GROUP, "logStreamName": STREAM}
    assert await code(logs.put_log_events, **at, logEvents=unordered) == "InvalidParameterException"
    at = {"logGroupName": GROUP, "logStreamName": "none"}
    assert await code(logs.get_log_events, **at) == "ResourceNotFoundException"
    at = {"logGroupName": GROUP, "filterPattern": "[ip, user]"}
    assert await code(logs.filter_log_events, **at) == "InvalidParameterException"
    query = {"logGroupName": GROUP, "startTime": 0, "endTime": 1, "queryString": "fields @message"}
    assert await code(logs.start_query, **query) == "UnsupportedOperation"


@pytest.mark.dock
async def test_events_too_old_or_too_new_are_rejected_and_said(logs: Any) -> None:
    answer = await put(logs, "ancient", at=now() - 15 * DAY)
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    answer = await put(logs, "future", at=now() + 3 * 3_600_000)
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 0}
    await put(logs, "kept", at=now() - 2 * DAY)
    everything = {"logGroupName": GROUP, "logStreamName": STREAM}
    assert messages(await call(logs.get_log_events, **everything)) == ["kept"]
    # Retention acts at once, not only when the sweep comes by.
    await call(logs.put_retention_policy, logGroupName=GROUP, retentionInDays=1)
    assert messages(await call(logs.get_log_events, **everything)) == []


@pytest.mark.dock
async def test_groups_and_streams_are_described_tagged_and_deleted(logs: Any) -> None:
    await put(logs, "hello")
    await call(logs.put_retention_policy, logGroupName=GROUP, retentionInDays=7)
    (group,) = (await call(logs.describe_log_groups, logGroupNamePrefix="/chatvrm"))["logGroups"]
    assert (group["retentionInDays"], group["storedBytes"]) == (7, len("hello") + 26)
    arn = group["arn"].removesuffix(":*")
    await call(logs.tag_resource, resourceArn=arn, tags={"owner": "me"})
    await call(logs.untag_resource, resourceArn=arn, tagKeys=["team"])
    assert (await call(logs.list_tags_for_resource, resourceArn=arn))["tags"] == {"owner": "me"}
    (stream,) = (await call(logs.describe_log_streams, logGroupName=GROUP))["logStreams"]
    assert stream["lastEventTimestamp"] >= stream["firstEventTimestamp"] > 0
    await call(logs.delete_log_group, logGroupName=GROUP)
    assert (await call(logs.describe_log_groups))["logGroups"] == []


@pytest.mark.dock
async def test_a_source_is_copied_exactly_once_over_a_restart(home: Home) -> None:
    first = Cloud(home, [Logs])
    await first.start()
    service = first.service(Logs)
    assert await service.ensure_group(HERE, GROUP, create=True)
    await service.append(HERE, GROUP, "s", [(now(), "one")], source=("ecs/x", 4))
    await first.leave()
    async with running_cloud(home, [Logs]) as cloud:
        assert await cloud.service(Logs).position("ecs/x") == 4
        client = cloud.client("logs", *HERE)
        assert messages(await call(client.filter_log_events, logGroupName=GROUP)) == ["one"]


def test_retention_removes_events_and_gives_their_bytes_back(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.create_group(HERE, GROUP, 0, None, "STANDARD", False, {})
    group = archive.group(HERE, GROUP)
    assert group is not None
    old, new = now() - 8 * DAY, now()
    archive.append(group, "s", [(old, "old" * 100), (new, "new")], new, create=True, source=None)
    archive.update_group(group, retention=7)
    assert archive.expire(now()) == 1
    left = archive.events(group, None, start=0, end=1 << 62, limit=10)
    assert [event.message for event in left] == ["new"]
    assert archive.stored_bytes(group) == len("new") + 26
    archive.close()


EVENT = json.dumps({"status": 500, "path": "/api/x", "user": {"name": None, "admin": True}, "tags": ["a", "b"]})


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("", "anything", True),
        ("ERROR", "an ERROR here", True),
        ("ERROR", "an error here", False),
        ("ERROR timeout", "timeout after ERROR", True),
        ("ERROR timeout", "ERROR alone", False),
        ('"two words"', "these two words", True),
        ('"two words"', "two other words", False),
        ("?ERROR ?WARN", "WARN", True),
        ("?ERROR ?WARN", "INFO", False),
        ("ERROR -expected", "ERROR expected", False),
        ("ERROR -expected", "ERROR", True),
        ("%E[0-9]{3}%", "code E404", True),
        ("{ $.status = 500 }", EVENT, True),
        ("{ $.status != 500 }", EVENT, False),
        ('{ $.status >= 500 && $.path = "/api/*" }', EVENT, True),
        ("{ $.status < 500 || $.tags[1] = b }", EVENT, True),
        ("{ ($.status < 500 || $.status > 503) && $.path = * }", EVENT, False),
        ("{ $.user.name IS NULL }", EVENT, True),
        ("{ $.user.admin IS TRUE }", EVENT, True),
        ("{ $.user.admin IS FALSE }", EVENT, False),
        ("{ $.missing NOT EXISTS }", EVENT, True),
        ("{ $.status NOT EXISTS }", EVENT, False),
        ("{ $.missing = 1 }", EVENT, False),
        ("{ $.path = %^/api% }", EVENT, True),
        ("{ $.status = 500 }", "not json 500", False),
    ],
)
def test_a_filter_pattern_matches_as_cloudwatch_does(pattern: str, message: str, expected: bool) -> None:
    matches = compile_pattern(pattern)
    assert (matches is None or matches(message)) is expected


@pytest.mark.parametrize("pattern", ["[a, b]", "{ $.a = }", "{ status = 1 }", "{ $.a = 1", "?a b", "{ $.a > x }"])
def test_a_filter_pattern_that_is_not_understood_is_refused(pattern: str) -> None:
    with pytest.raises(AwsError, match="Invalid filter pattern"):
        compile_pattern(pattern)
