from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from operations.errors import OperationError
from operations.runs import lease as leases
from operations.runs import store as stores
from operations.runs.lease import Lease, LeaseHeld, LeaseLost
from operations.runs.store import Store
from tests.operations.runs.dock import RECOVERY, REGION, Dock

pytestmark = [pytest.mark.dock, pytest.mark.timeout(120)]

ALICE, BOB = "arn:aws:iam::000000000001:user/alice", "arn:aws:iam::000000000001:user/bob"


@contextlib.contextmanager
def held(store: Store, name: str, run: str = "first", seconds: float = 1.5, **more: Any) -> Iterator[Lease]:
    lease = Lease.acquire(store, name, run, ALICE, seconds=seconds, **more)
    try:
        yield lease
    finally:
        lease.release()


def freeze(lease: Lease) -> None:
    """What SIGSTOP, or a machine without network, does to an owner: it gives no sign of life, and doesn't know it."""
    lease._released.set()
    lease._thread.join()


def from_elsewhere(store: Store, name: str) -> None:
    """Make the owner one of another machine, whose process can't be looked for here."""
    found = store.get("leases", environment=name)
    assert found is not None
    process = json.loads(found["process"]["S"]) | {"boot": "another-boot"}
    store.put("leases", found | {"process": {"S": json.dumps(process)}})


def test_a_second_run_is_refused_while_the_first_is_alive(store: Store, name: str) -> None:
    with held(store, name, seconds=3):
        began = time.monotonic()
        with pytest.raises(LeaseHeld) as refused:
            Lease.acquire(store, name, "second", BOB)
        assert "run first" in str(refused.value)
        assert ALICE in str(refused.value)
        assert "drydock show first" in refused.value.next
        assert time.monotonic() - began < 3, "a sign of life is enough, the lease's length is not waited for"
        assert leases.look(store, name)["run"] == "first"  # type: ignore[index]


def test_a_lease_that_was_given_back_is_taken_at_once_under_the_next_token(store: Store, name: str) -> None:
    with held(store, name) as first:
        pass
    assert leases.look(store, name) is None
    said: list[str] = []
    with held(store, name, "second", progress=said.append) as second:
        assert second.token > first.token
        assert second.token.number == first.token.number + 1
        assert second.before == "first"
    assert said == [], "nobody was in the way"


def test_of_ten_who_want_a_free_environment_exactly_one_gets_it(dock: Dock, name: str) -> None:
    got: list[Lease] = []
    refused: list[Exception] = []

    def want(number: int) -> None:
        try:
            got.append(Lease.acquire(dock.store(), name, f"run-{number}", ALICE, seconds=6))
        except LeaseHeld as error:
            refused.append(error)

    threads = [threading.Thread(target=want, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(got), len(refused)) == (1, 9)
    got[0].release()


def test_an_owner_that_gives_no_sign_of_life_is_replaced_after_its_lease_and_that_is_said(
    store: Store, name: str
) -> None:
    first = Lease.acquire(store, name, "first", ALICE, seconds=1.5)
    freeze(first)
    from_elsewhere(store, name)
    said: list[str] = []
    began = time.monotonic()
    with held(store, name, "second", progress=said.append) as second:
        assert time.monotonic() - began >= 1.5
        assert second.token > first.token
    assert any("TAKEN OVER from run first" in line and "no sign of life for 1.5 s" in line for line in said)


def test_an_owner_whose_process_has_ended_on_this_machine_is_replaced_at_once(store: Store, name: str) -> None:
    first = Lease.acquire(store, name, "first", ALICE, seconds=60)
    freeze(first)
    ended = subprocess.Popen(["sleep", "60"])
    process = leases.Process.mine()
    found = store.get("leases", environment=name)
    assert found is not None
    told = {"pid": ended.pid, "started": leases._started(ended.pid)}
    store.put("leases", found | {"process": {"S": json.dumps({**_fields(process), **told})}})
    ended.kill()
    ended.wait(10)
    said: list[str] = []
    began = time.monotonic()
    with held(store, name, "second", progress=said.append):
        assert time.monotonic() - began < 5
    assert any(f"its process {ended.pid} on this machine has ended" in line for line in said)


def _fields(process: leases.Process) -> dict[str, Any]:
    return {name: getattr(process, name) for name in ("host", "boot", "namespace")}


def test_an_owner_that_wakes_up_after_a_takeover_learns_that_it_has_lost(store: Store, name: str) -> None:
    first = Lease.acquire(store, name, "first", ALICE, seconds=1)
    freeze(first)
    from_elsewhere(store, name)
    with held(store, name, "second"):
        with pytest.raises(LeaseLost, match="run second of"):
            first._renew()
        with pytest.raises(LeaseLost):
            first.check()
    first.release()  # does no harm to whoever has it now


def test_a_clock_that_jumps_changes_nothing(store: Store, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(store, name, seconds=3) as first:
        wall = time.time
        for jump in (86_400, -86_400):
            monkeypatch.setattr(time, "time", lambda jump=jump: wall() + jump)
            first.check()
            first._renew()
            with pytest.raises(LeaseHeld):
                Lease.acquire(store, name, "second", BOB)


def test_an_owner_outlives_a_store_that_is_away_for_less_than_its_lease(dock: Dock, store: Store, name: str) -> None:
    with held(store, name, seconds=6) as first:
        with dock.fault("api-throttled", service="dynamodb", operation="UpdateItem"):
            time.sleep(2.5)
        first.check()
        first._renew()


def test_a_lost_answer_to_a_takeover_does_not_leave_a_lease_that_nobody_has(
    dock: Dock, store: Store, name: str
) -> None:
    fault = dock.fault("api-lost", service="dynamodb", operation="TransactWriteItems", calls=1)
    with fault, held(store, name) as first:
        assert first.token.number == 1
        first.check()


def test_a_takeover_of_the_recovery_region_ends_what_was_held_before(dock: Dock) -> None:
    # A store of its own: the other tests go on in the first region.
    control = dock.control.model_copy(
        update={"runs": dock.control.runs.model_copy(update={"leases": "runs-leases-moved"})}
    )
    for region in (REGION, RECOVERY):
        dock.client("dynamodb", region).create_table(
            TableName="runs-leases-moved",
            KeySchema=[{"AttributeName": "environment", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "environment", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    before = stores.open(control, dock.connect)
    assert before.home == stores.Home(REGION, 1)
    old = Lease.acquire(before, "test/moved", "first", ALICE, seconds=60)
    home = stores.take_over(control, RECOVERY, BOB, dock.connect)
    assert home == stores.Home(RECOVERY, 2)
    with pytest.raises(OperationError, match="is the home already"):
        stores.take_over(control, RECOVERY, BOB, dock.connect)

    after = stores.open(control, dock.connect)
    assert after.home == home
    with held(after, "test/moved", "second") as new:
        assert new.token > old.token
    # The first region hears of it when the copies are one again.
    record = dock.client("dynamodb", RECOVERY).get_item(TableName="runs-leases-moved", Key=stores._HOME)["Item"]
    dock.client("dynamodb", REGION).put_item(TableName="runs-leases-moved", Item=record)
    with pytest.raises(OperationError, match="no longer the home"):
        Lease.acquire(before, "test/other", "third", ALICE)
    freeze(old)


def test_a_home_region_that_does_not_answer_is_named_with_what_to_do(dock: Dock) -> None:
    def connect(service: str, region: str) -> Any:
        client = dock.connect(service, region)
        if region == REGION:
            client.meta.events.register("before-send", _nothing_there)
        return client

    with pytest.raises(stores.StoreAway) as error:
        stores.find_home(dock.control, connect, patience=0.3)
    assert f"in {REGION} does not answer" in error.value.what
    assert f"drydock takeover --region {RECOVERY}" in error.value.next


def _nothing_there(**_: Any) -> None:
    from botocore.exceptions import EndpointConnectionError

    raise EndpointConnectionError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com")
