"""The store of runs: four DynamoDB tables of the control stack, in the region that is their home.

DynamoDB's copies in the recovery region are last-writer-wins, so what has to be decided once (who holds an
environment, who approved) is decided in one region, the home. A failover moves it with `take_over`, under a new epoch;
a record of an older epoch decides nothing.

Every call is repeated for a while when DynamoDB is throttled, away, or its answer got lost. That is safe: writes are
conditional, and each carries an id by which it knows itself again.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from operations import aws
from operations.control import Control
from operations.errors import OperationError

Item = dict[str, Any]
Connect = Callable[[str, str], Any]

#: The keys that the code relies on (partition, sort). components/run_store.py makes the tables; a test compares.
KEYS: dict[str, tuple[str, ...]] = {
    "journal": ("run", "entry"),
    "leases": ("environment",),
    "approvals": ("run", "approver"),
    "ledger": ("environment", "run"),
}
#: The second since the epoch after which DynamoDB may forget a record of the journal or of the approvals.
EXPIRY = "forget_after"
KEEP_DAYS = 400
# In the table of leases, beside the environments, whose names are `platform/environment`.
_HOME = {"environment": {"S": "/home"}}

# How long a call is repeated before the store counts as away.
PATIENCE_SECONDS = 20.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_TRANSIENT = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
        "TransactionInProgressException",
        "InternalServerError",
        "InternalFailure",
        "ServiceUnavailable",
    }
)
_TRANSIENT_REASONS = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


class StoreAway(OperationError):
    """DynamoDB could not be reached, or kept refusing, for as long as a run waits for it."""


class Condition(Exception):
    """A conditional write did not fit what is there. `position` is the one of a transaction's parts that didn't."""

    def __init__(self, position: int, found: Item | None) -> None:
        super().__init__(position)
        self.position = position
        self.found = found


@dataclass(frozen=True, slots=True)
class Home:
    """The region where leases and approvals count, since which epoch."""

    region: str
    epoch: int


class Store:
    """The tables in their home region. Made by `open`."""

    def __init__(self, control: Control, connect: Connect, home: Home) -> None:
        self.control = control
        self.home = home
        self._client = connect("dynamodb", home.region)
        self._tables = {noun: str(getattr(control.runs, noun)) for noun in KEYS}
        # The store's own clock: this machine's may be wrong, or jump.
        self._clock: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """The store's time in UTC, to the second: its last answer's, plus what has passed since."""
        if self._clock is None:
            return datetime.now(UTC)
        told, at = self._clock
        return told + timedelta(seconds=time.monotonic() - at)

    def get(self, noun: str, **key: str) -> Item | None:
        """One item as it is now."""
        wanted = {name: {"S": value} for name, value in key.items()}
        answer = self._call("get_item", TableName=self._tables[noun], Key=wanted, ConsistentRead=True)
        found: Item | None = answer.get("Item")
        return found

    def query(self, noun: str, key: str, *, newest_first: bool = False, limit: int | None = None) -> list[Item]:
        """The items under a partition key, in the order of their sort key."""
        found: list[Item] = []
        more: dict[str, Any] = {}
        while True:
            answer = self._call(
                "query",
                TableName=self._tables[noun],
                KeyConditionExpression="#key = :key",
                ExpressionAttributeNames={"#key": KEYS[noun][0]},
                ExpressionAttributeValues={":key": {"S": key}},
                ConsistentRead=True,
                ScanIndexForward=not newest_first,
                **({"Limit": limit - len(found)} if limit is not None else {}),
                **more,
            )
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer or (limit is not None and len(found) >= limit):
                return found
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def put(self, noun: str, item: Item, patience: float = PATIENCE_SECONDS) -> None:
        """Write an item, whatever was there."""
        self._call("put_item", patience=patience, TableName=self._tables[noun], Item=item)

    def create(
        self, noun: str, items: Sequence[Item], *also: Mapping[str, Any], patience: float = PATIENCE_SECONDS
    ) -> None:
        """Write items that must not be there yet, all or none; each one's `id` tells it from another's. `also` are
        conditions on other items that must hold in the same moment (`check`). Raises Condition."""
        sort = KEYS[noun][-1]
        writes = [
            {
                "TableName": self._tables[noun],
                "Item": item,
                "ConditionExpression": "attribute_not_exists(#sort)",
                "ExpressionAttributeNames": {"#sort": sort},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
            for item in items
        ]
        try:
            if also or len(writes) > 1:
                self.transact(*also, *({"Put": write} for write in writes), patience=patience)
            else:
                self._call("put_item", patience=patience, **writes[0])
        except Condition as failed:
            # The write itself, whose answer got lost?
            position = failed.position - len(also)
            if position >= 0 and failed.found and failed.found.get("id") == items[position]["id"]:
                return
            raise

    def check(self, noun: str, key: Item, condition: str, names: dict[str, str], values: Item) -> dict[str, Any]:
        """A condition on an item, as part of a transaction."""
        return {
            "ConditionCheck": {
                "TableName": self._tables[noun],
                "Key": key,
                "ConditionExpression": condition,
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": values,
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def put_if(
        self, noun: str, item: Item, condition: str, names: dict[str, str], values: Item | None = None
    ) -> dict[str, Any]:
        """A conditional write, as part of a transaction."""
        return {
            "Put": {
                "TableName": self._tables[noun],
                "Item": item,
                "ConditionExpression": condition,
                "ExpressionAttributeNames": names,
                **({"ExpressionAttributeValues": values} if values else {}),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def at_home(self) -> dict[str, Any]:
        """The condition that this region is still the home, of this epoch: part of whatever takes a lease."""
        return self.check(
            "leases",
            _HOME,
            "attribute_not_exists(#epoch) OR #epoch = :epoch",
            {"#epoch": "epoch"},
            {":epoch": {"N": str(self.home.epoch)}},
        )

    def transact(self, *parts: Mapping[str, Any], patience: float = PATIENCE_SECONDS) -> None:
        """All of these writes and conditions, or none. Raises Condition for the first that does not hold."""
        self._call(
            "transact_write_items",
            patience=patience,
            TransactItems=list(parts),
            # A repeated call is known by it, so a lost answer does no harm.
            ClientRequestToken=str(uuid.uuid4()),
        )

    def update(self, noun: str, key: Item, patience: float = PATIENCE_SECONDS, **expression: Any) -> None:
        """A conditional update. Raises Condition."""
        self._call(
            "update_item",
            patience=patience,
            TableName=self._tables[noun],
            Key=key,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **expression,
        )

    def forget_after(self) -> Item:
        return {"N": str(int((self.now() + timedelta(days=KEEP_DAYS)).timestamp()))}

    def _call(self, operation: str, patience: float = PATIENCE_SECONDS, **request: Any) -> dict[str, Any]:
        answer = call(self._client, operation, patience, **request)
        told = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
        if told:
            self._clock = (parsedate_to_datetime(told), time.monotonic())
        return answer


def open(control: Control, connect: Connect | None = None) -> Store:
    """The store, in its home region. Raises StoreAway where that region does not answer."""
    connect = connect or _connect
    return Store(control, connect, find_home(control, connect))


def find_home(control: Control, connect: Connect, patience: float = 5.0) -> Home:
    """The region with the newest epoch. Both are asked: after a failover the one that was lost may not know yet."""
    regions = list(dict.fromkeys((control.region, control.recovery_region)))
    clients = {region: connect("dynamodb", region) for region in regions}

    def look(region: str) -> Home | StoreAway | None:
        table = control.runs.leases
        try:
            answer = call(clients[region], "get_item", patience, TableName=table, Key=_HOME, ConsistentRead=True)
        except StoreAway as error:
            return error
        except OperationError:
            if region == control.region:
                raise
            return None
        found = answer.get("Item")
        return Home(found["region"]["S"], int(found["epoch"]["N"])) if found else None

    with ThreadPoolExecutor(len(regions)) as pool:
        seen = dict(zip(regions, pool.map(look, regions), strict=True))
    known = [home for home in seen.values() if isinstance(home, Home)]
    home = max(known, key=lambda each: each.epoch, default=Home(control.region, 1))
    away = seen[home.region]
    if isinstance(away, StoreAway):
        raise StoreAway(
            f"the store of runs in {home.region} does not answer",
            away.why,
            f"wait for it; if that region is lost: drydock takeover --region {_other(regions, home.region)}",
        )
    return home


def take_over(control: Control, region: str, by: str, connect: Connect | None = None) -> Home:
    """Make `region` the home under a new epoch, from which on leases and approvals of older epochs count no more.

    Whoever does this must know that the other region's runs are dead: a run there that is alive and cut off from here
    can't be told. Raises OperationError.
    """
    connect = connect or _connect
    regions = (control.region, control.recovery_region)
    if region not in regions:
        raise OperationError(
            f"{region} can't become the home", f"the store has copies in {' and '.join(regions)}", "name one of these"
        )
    highest = 1
    for each in dict.fromkeys(regions):
        try:
            answer = call(connect("dynamodb", each), "get_item", 5.0, TableName=control.runs.leases, Key=_HOME)
        except OperationError:
            continue
        if "Item" in answer:
            highest = max(highest, int(answer["Item"]["epoch"]["N"]))
            if int(answer["Item"]["epoch"]["N"]) == highest and answer["Item"]["region"]["S"] == region:
                raise OperationError(
                    f"{region} is the home already", f"since epoch {highest}", "go on: nothing is to be done"
                )
        elif each == control.region == region:
            raise OperationError(f"{region} is the home already", "it is the first", "go on: nothing is to be done")
    home = Home(region, highest + 1)
    try:
        call(
            connect("dynamodb", region),
            "put_item",
            PATIENCE_SECONDS,
            TableName=control.runs.leases,
            Item={
                **_HOME,
                "epoch": {"N": str(home.epoch)},
                "region": {"S": region},
                "by": {"S": by},
                "at": {"S": datetime.now(UTC).isoformat(timespec="seconds")},
            },
            ConditionExpression="attribute_not_exists(#epoch) OR #epoch < :epoch",
            ExpressionAttributeNames={"#epoch": "epoch"},
            ExpressionAttributeValues={":epoch": {"N": str(home.epoch)}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except Condition as failed:
        by_other = (failed.found or {}).get("by", {}).get("S", "somebody")
        raise OperationError(
            f"{region} was not taken over", f"{by_other} did so at the same time", "drydock runs"
        ) from None
    return home


def call(client: Any, operation: str, patience: float, **request: Any) -> dict[str, Any]:
    """One call of DynamoDB, repeated while it is throttled or away. Raises Condition, StoreAway, OperationError."""
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

    until = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            answer: dict[str, Any] = getattr(client, operation)(**request)
            return answer
        except ClientError as error:
            failed = _condition(error)
            if failed is not None:
                raise failed from None
            if not _transient(error):
                raise _refused(client, error) from error
            problem: Exception = error
        except (ConnectionError, HTTPClientError) as error:
            problem = error
        except BotoCoreError as error:
            raise _refused(client, error) from error
        if time.monotonic() + pause > until:
            raise StoreAway(
                "the store of runs does not answer",
                f"DynamoDB in {client.meta.region_name}, for {patience:g} s: {problem}",
                "nothing is done without a record of it; when DynamoDB is back: drydock runs",
            ) from problem
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def text(item: Item, name: str) -> str:
    """A string attribute, empty where it is missing."""
    return str(item.get(name, {}).get("S", ""))


def content(item: Item) -> dict[str, Any]:
    """The JSON object that an item carries."""
    found: dict[str, Any] = json.loads(item["content"]["S"])
    return found


def _condition(error: Any) -> Condition | None:
    code = error.response["Error"]["Code"]
    if code == "ConditionalCheckFailedException":
        return Condition(0, error.response.get("Item"))
    if code == "TransactionCanceledException":
        for position, reason in enumerate(error.response.get("CancellationReasons", [])):
            if reason.get("Code") == "ConditionalCheckFailed":
                return Condition(position, reason.get("Item"))
    return None


def _transient(error: Any) -> bool:
    if error.response["Error"]["Code"] == "TransactionCanceledException":
        reasons = {reason.get("Code", "None") for reason in error.response.get("CancellationReasons", [])}
        return bool(reasons) and reasons <= _TRANSIENT_REASONS | {"None"}
    status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    return error.response["Error"]["Code"] in _TRANSIENT or status >= 500


def _refused(client: Any, error: Exception) -> OperationError:
    return OperationError(
        "the store of runs can't be used",
        f"{client.meta.region_name}: {error}",
        "may you use its tables, and are they there? `drydock bootstrap` makes them",
    )


def _other(regions: list[str], home: str) -> str:
    return next((region for region in regions if region != home), home)


def _connect(service: str, region: str) -> Any:
    from botocore.config import Config

    # Repeated by `call`, which knows what may be repeated and for how long.
    config = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1}, user_agent_extra="drydock")
    return aws.client(service, region, config)
