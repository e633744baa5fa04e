"""CloudTrail as a client sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dock.aws.cloudtrail import CloudTrail
from dock.cloud import Cloud
from dock.home import Home
from tests.dock.conftest import call, running_cloud

pytestmark = pytest.mark.dock
TRAIL = {"Name": "audit", "S3BucketName": "files", "IsMultiRegionTrail": True}


@pytest.fixture
async def cloud(home: Home) -> AsyncIterator[Cloud]:
    async with running_cloud(home, [CloudTrail]) as running:
        yield running


@pytest.fixture
def trails(cloud: Cloud, account: str, region: str) -> Any:
    return cloud.client("cloudtrail", account, region)


async def code(method: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as error:
        await call(method, **parameters)
    return str(error.value.response["Error"]["Code"])


async def test_a_trail_is_off_until_it_is_switched_on(trails: Any) -> None:
    await call(trails.create_trail, **TRAIL)
    assert (await call(trails.get_trail_status, Name="audit"))["IsLogging"] is False
    await call(trails.start_logging, Name="audit")
    status = await call(trails.get_trail_status, Name="audit")
    assert status["IsLogging"] is True
    # Nobody should take a trail of the dock for one that writes.
    assert "delivers no log files" in status["LatestDeliveryError"]


async def test_a_trail_of_all_regions_is_seen_everywhere_and_changed_at_home(
    trails: Any, cloud: Cloud, account: str
) -> None:
    await call(trails.create_trail, **TRAIL)
    elsewhere = cloud.client("cloudtrail", account, "us-west-2")
    assert (await call(elsewhere.get_trail, Name="audit"))["Trail"]["HomeRegion"] == "us-east-1"
    assert (await call(elsewhere.describe_trails, includeShadowTrails=False))["trailList"] == []
    assert await code(elsewhere.delete_trail, Name="audit") == "InvalidHomeRegionException"
    assert await code(elsewhere.create_trail, **TRAIL) == "TrailAlreadyExistsException"
    other = cloud.client("cloudtrail", "000000000002", "us-east-1")
    assert (await call(other.list_trails))["Trails"] == []


async def test_a_change_keeps_what_it_does_not_name(trails: Any) -> None:
    await call(trails.create_trail, **TRAIL, TagsList=[{"Key": "team", "Value": "chat"}])
    await call(trails.update_trail, Name="audit", EnableLogFileValidation=True)
    found = (await call(trails.get_trail, Name="audit"))["Trail"]
    assert (found["LogFileValidationEnabled"], found["IsMultiRegionTrail"], found["S3BucketName"]) == (
        True,
        True,
        "files",
    )
    listed = await call(trails.list_tags, ResourceIdList=[found["TrailARN"]])
    assert listed["ResourceTagList"][0]["TagsList"] == [{"Key": "team", "Value": "chat"}]


async def test_what_makes_no_sense_is_refused(trails: Any) -> None:
    assert await code(trails.create_trail, Name="-", S3BucketName="files") == "InvalidTrailNameException"
    assert await code(trails.get_trail, Name="nowhere") == "TrailNotFoundException"
    assert (
        await code(trails.create_trail, **TRAIL, CloudWatchLogsLogGroupArn="arn:aws:logs:us-east-1:1:log-group:g:*")
        == "InvalidCloudWatchLogsLogGroupArnException"
    )
    for number in range(5):
        await call(trails.create_trail, Name=f"trail{number}", S3BucketName="files")
    assert await code(trails.create_trail, **TRAIL) == "MaximumNumberOfTrailsExceededException"


async def test_what_was_called_is_not_looked_up_rather_than_found_to_be_nothing(trails: Any) -> None:
    assert await code(trails.lookup_events) == "UnsupportedOperation"
