"""A dock in a thread of this process, shared by the tests of runs; each test has an environment of its own in it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from dock.aws.ecr import Ecr
from dock.aws.ecs import Ecs
from dock.aws.logs import Logs
from dock.calls import read
from dock.cloud import ACCOUNTS, Cloud
from dock.home import Home
from operations import control
from operations.runs import store
from operations.runs.store import KEYS, Store

T = TypeVar("T")
REGION, RECOVERY = "us-east-1", "us-west-2"
BUCKET = "drydock-evidence-test"


@dataclass
class Dock:
    cloud: Cloud
    loop: asyncio.AbstractEventLoop
    control: control.Control

    def on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)

    def client(self, service: str, region: str = REGION) -> Any:
        return self.cloud.client(service, ACCOUNTS[0], region)

    def store(self) -> Store:
        return store.open(self.control, self.connect)

    def connect(self, service: str, region: str) -> Any:
        """As the store's own clients are: what is repeated is the store's to decide."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=region,
            endpoint_url=self.cloud.url,
            aws_access_key_id=ACCOUNTS[0],
            aws_secret_access_key="dock",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=5, connect_timeout=3),
        )

    @contextmanager
    def fault(self, kind: str, **settings: Any) -> Iterator[None]:
        """A fault of an API for as long as the body runs, or until it has hit `calls` calls."""
        added = self.on_loop(self.cloud.faults.add({"kind": kind, "seconds": 60, **settings}))
        try:
            yield
        finally:
            with contextlib.suppress(Exception):
                self.on_loop(self.cloud.faults.clear(added["id"]))

    def acted(self, service: str, operation: str) -> list[dict[str, Any]]:
        """The calls that had their effect, as the dock itself has counted them."""
        return [
            call
            for call in read(self.cloud.home.logs)
            if (call["service"], call["operation"]) == (service, operation) and call["acted"]
        ]


@contextmanager
def running(more: Callable[[Dock], None] = lambda _: None) -> Iterator[Dock]:
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="dock", daemon=True)
    thread.start()

    async def start() -> Cloud:
        cloud = Cloud(Home(root / "home"), [Ecr, Logs, Ecs])
        async with asyncio.timeout(120):
            await cloud.start()
        return cloud

    cloud = asyncio.run_coroutine_threadsafe(start(), loop).result(130)
    try:
        dock = Dock(cloud, loop, document())
        make_store(dock)
        more(dock)
        yield dock
    finally:
        asyncio.run_coroutine_threadsafe(cloud.stop(), loop).result(120)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        shutil.rmtree(root, ignore_errors=True)


def document() -> control.Control:
    return control.Control(
        schema_version=1,
        account=ACCOUNTS[0],
        region=REGION,
        recovery_region=RECOVERY,
        state=control.State(bucket="state", key_alias="alias/state"),
        runs=control.Runs(
            journal="runs-journal",
            leases="runs-leases",
            approvals="runs-approvals",
            ledger="runs-ledger",
            evidence_bucket=BUCKET,
            evidence_days=1,
        ),
        audit=control.Audit(trail="trail", bucket="audit", log_group="/audit"),
    )


def make_store(dock: Dock) -> None:
    """What the control stack makes: tables with copies, the locked bucket, the document that names them."""
    dynamodb = dock.client("dynamodb")
    for noun, keys in KEYS.items():
        dynamodb.create_table(
            TableName=f"runs-{noun}",
            KeySchema=[
                {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        dynamodb.update_table(TableName=f"runs-{noun}", ReplicaUpdates=[{"Create": {"RegionName": RECOVERY}}])
    s3 = dock.client("s3")
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    s3.put_object_lock_configuration(
        Bucket=BUCKET,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )
    for region in (REGION, RECOVERY):
        dock.client("ssm", region).put_parameter(
            Name=control.PARAMETER, Value=dock.control.model_dump_json(), Type="String"
        )


def put_manifest(dock: Dock, document: dict[str, Any]) -> None:
    name = f"/drydock/{document['platform']}/{document['environment']}/manifest"
    dock.client("ssm").put_parameter(Name=name, Value=json.dumps(document), Type="String", Overwrite=True)
