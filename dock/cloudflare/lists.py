"""Lists of addresses. Items change by operations that go on after the call, one after the other."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import uuid
from typing import Any

from dock.cloudflare.errors import ApiError, not_done
from dock.cloudflare.plans import LIST_ITEMS, LISTS
from dock.cloudflare.records import shown
from dock.cloudflare.route import Call, Page, Part, route, text
from dock.cloudflare.rulesets import lists_of
from dock.cloudflare.tokens import now
from dock.store import Record, Scope

_NAME = re.compile(r"[a-z0-9_]{1,50}")
_PATH = "/accounts/{account_id}/rules/lists"


class Lists(Part):
    def __init__(self, cloudflare: Any) -> None:
        super().__init__(cloudflare)
        self._one_at_a_time = asyncio.Lock()

    @route("GET", _PATH, "Account Filter Lists")
    async def every(self, call: Call) -> list[dict[str, Any]]:
        scope = self._account(call)
        return [self.described(each) for each in self.cloudflare.records.lists.list(scope)]

    @route("POST", _PATH, "Account Filter Lists", acts="name kind", records="description")
    async def create(self, call: Call) -> dict[str, Any]:
        records, scope = self.cloudflare.records, self._account(call)
        name = text(call.body, "name", required=True) or ""
        if call.body.get("kind") != "ip":
            raise not_done("lists of another kind than ip")
        if not _NAME.fullmatch(name):
            raise ApiError(10020, "name: lower-case letters, digits and underscores, 50 at most")
        existing = records.lists.list(scope)
        if any(each["name"] == name for each in existing):
            raise ApiError(10014, f"a list named {name} exists already", 409)
        if len(existing) >= LISTS:
            raise ApiError(10021, f"an account has {LISTS} lists at most")
        moment = now()
        made = {
            "id": uuid.uuid4().hex,
            "account": scope.account,
            "name": name,
            "kind": "ip",
            "description": text(call.body, "description", longest=500) or "",
            "created_on": moment,
            "modified_on": moment,
        }
        records.put(records.lists, made)
        await self.cloudflare.changed()
        return self.described(made)

    @route("GET", _PATH + "/bulk_operations/{operation_id}", "Account Filter Lists")
    async def operation(self, call: Call) -> dict[str, Any]:
        found = self.cloudflare.records.operations.get(self._account(call), call.path["operation_id"])
        if found is None:
            raise ApiError(10003, "could not find bulk operation", 404)
        hidden = [name for name in ("completed", "error") if found[name] is None]
        return shown(found, "change", "list_id", *hidden)

    @route("GET", _PATH + "/{list_id}", "Account Filter Lists")
    async def get(self, call: Call) -> dict[str, Any]:
        return self.described(self._list(call))

    @route("PUT", _PATH + "/{list_id}", "Account Filter Lists", records="description")
    async def update(self, call: Call) -> dict[str, Any]:
        found = self._list(call)
        found.update(description=text(call.body, "description", longest=500) or "", modified_on=now())
        self.cloudflare.records.put(self.cloudflare.records.lists, found)
        return self.described(found)

    @route("DELETE", _PATH + "/{list_id}", "Account Filter Lists")
    async def delete(self, call: Call) -> dict[str, Any]:
        records, found = self.cloudflare.records, self._list(call)
        if self._references(found):
            raise ApiError(10038, f"the list {found['name']} is used by a rule")
        with records.transaction():
            for item in self._items(found):
                records.delete(records.items, item)
            records.delete(records.lists, found)
        await self.cloudflare.changed()
        return {"id": found["id"]}

    @route("GET", _PATH + "/{list_id}/items", "Account Filter Lists", acts="search")
    async def items(self, call: Call) -> Page:
        found = [
            item
            for item in self._items(self._list(call))
            if call.query.get("search", "") in f"{item['ip']} {item['comment'] or ''}"
        ]
        found.sort(key=lambda item: (item["created_on"], item["id"]))
        start, size = _cursor(call.query.get("cursor")), min(500, int(call.query.get("per_page", 25)))
        more = start + size < len(found)
        info = {"cursors": {"after": _mark(start + size)} if more else {}}
        return Page([_item(item) for item in found[start : start + size]], info)

    @route("GET", _PATH + "/{list_id}/items/{item_id}", "Account Filter Lists")
    async def item(self, call: Call) -> dict[str, Any]:
        found = self._list(call)
        for item in self._items(found):
            if item["id"] == call.path["item_id"]:
                return _item(item)
        raise ApiError(10003, "could not find list item", 404)

    @route("POST", _PATH + "/{list_id}/items", "Account Filter Lists", acts="*")
    async def add(self, call: Call) -> dict[str, Any]:
        return self._begin(self._list(call), "add", _entries(call.body))

    @route("PUT", _PATH + "/{list_id}/items", "Account Filter Lists", acts="*")
    async def replace(self, call: Call) -> dict[str, Any]:
        return self._begin(self._list(call), "replace", _entries(call.body))

    @route("DELETE", _PATH + "/{list_id}/items", "Account Filter Lists", acts="items")
    async def remove(self, call: Call) -> dict[str, Any]:
        wanted = call.body.get("items") if isinstance(call.body, dict) else None
        if not isinstance(wanted, list) or any(not isinstance(each, dict) or "id" not in each for each in wanted):
            raise ApiError(10026, 'the body must be {"items": [{"id": …}]}')
        return self._begin(self._list(call), "remove", wanted)

    def _begin(self, found: Record, change: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """Durable before it is acknowledged: a dock that is killed goes on with it."""
        operation = {
            "id": uuid.uuid4().hex,
            "account": found["account"],
            "list_id": found["id"],
            "status": "pending",
            "completed": None,
            "error": None,
            "change": {"kind": change, "entries": entries},
        }
        self.cloudflare.records.put(self.cloudflare.records.operations, operation)
        self.cloudflare.spawn(self._carry_out(operation), f"cloudflare: bulk operation {operation['id']}")
        return {"operation_id": operation["id"]}

    def carry_on(self) -> None:
        """Take up what an earlier daemon left."""
        for _, _, operation in self.cloudflare.records.operations.all():
            if operation["status"] in ("pending", "running"):
                self.cloudflare.spawn(self._carry_out(operation), f"cloudflare: bulk operation {operation['id']}")

    async def _carry_out(self, operation: Record) -> None:
        records = self.cloudflare.records
        async with self._one_at_a_time:
            scope = records.scope(operation)
            try:
                found = records.lists.get(scope, operation["list_id"])
                if found is None:
                    raise ApiError(10003, "the list is gone")
                with records.transaction():
                    self._apply(found, operation["change"]["kind"], operation["change"]["entries"])
                    records.put(records.lists, {**found, "modified_on": now()})
                await self.cloudflare.changed()
                done = {**operation, "status": "completed"}
            except ApiError as error:
                done = {**operation, "status": "failed", "error": error.message}
            records.put(records.operations, {**done, "completed": now(), "change": None})

    def _apply(self, found: Record, change: str, entries: list[dict[str, Any]]) -> None:
        records = self.cloudflare.records
        existing = {item["ip"]: item for item in self._items(found)}
        if change == "remove":
            gone = {each["id"] for each in entries}
            for item in existing.values():
                if item["id"] in gone:
                    records.delete(records.items, item)
            return
        wanted = {each["ip"]: each for each in entries}
        total = len(wanted) if change == "replace" else len(existing.keys() | wanted.keys())
        if total > LIST_ITEMS:
            raise ApiError(10021, f"a list has {LIST_ITEMS} items at most")
        if change == "replace":
            for ip, item in existing.items():
                if ip not in wanted:
                    records.delete(records.items, item)
        for ip, entry in wanted.items():
            before = existing.get(ip)
            moment = now()
            records.put(
                records.items,
                {
                    "id": before["id"] if before else uuid.uuid4().hex,
                    "account": found["account"],
                    "list_id": found["id"],
                    "ip": ip,
                    "comment": entry.get("comment"),
                    "created_on": before["created_on"] if before else moment,
                    "modified_on": moment,
                },
            )

    def described(self, found: Record) -> dict[str, Any]:
        return {
            **shown(found),
            "num_items": len(self._items(found)),
            "num_referencing_filters": self._references(found),
        }

    def entries(self, scope: Scope) -> dict[str, list[str]]:
        """What the edge goes by: the addresses of each list."""
        names = {each["id"]: each["name"] for each in self.cloudflare.records.lists.list(scope)}
        found: dict[str, list[str]] = {name: [] for name in names.values()}
        for item in self.cloudflare.records.items.list(scope):
            if item["list_id"] in names:
                found[names[item["list_id"]]].append(item["ip"])
        return found

    def _references(self, found: Record) -> int:
        records = self.cloudflare.records
        rulesets = records.rulesets.list(records.scope(found))
        return sum(found["name"] in lists_of([rule]) for ruleset in rulesets for rule in ruleset["rules"])

    def _items(self, found: Record) -> list[Record]:
        records = self.cloudflare.records
        return [item for item in records.items.list(records.scope(found)) if item["list_id"] == found["id"]]

    def _account(self, call: Call) -> Scope:
        return self.cloudflare.records.account(call.path["account_id"])

    def _list(self, call: Call) -> Record:
        found = self.cloudflare.records.lists.get(self._account(call), call.path["list_id"])
        if found is None:
            raise ApiError(10001, "could not find list", 404)
        return found


def _entries(body: Any) -> list[dict[str, Any]]:
    if not isinstance(body, list):
        raise ApiError(10026, "the body must be a list of items")
    entries = []
    for each in body:
        if not isinstance(each, dict) or each.keys() - {"ip", "comment"} or not isinstance(each.get("ip"), str):
            raise ApiError(10026, "an item of an ip list has an ip, and may have a comment")
        try:
            network = ipaddress.ip_network(each["ip"])
        except ValueError as error:
            raise ApiError(10027, f"{each['ip']!r} is no address and no network: {error}") from None
        if network.prefixlen < (8 if network.version == 4 else 12):
            raise ApiError(10027, f"{each['ip']} is too wide: /8 is the widest for IPv4, /12 for IPv6")
        single = network.prefixlen == network.max_prefixlen
        entries.append({"ip": str(network.network_address) if single else str(network), "comment": each.get("comment")})
    return entries


def _item(record: Record) -> dict[str, Any]:
    found = shown(record, "list_id")
    return {name: value for name, value in found.items() if value is not None}


def _mark(position: int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def _cursor(text: str | None) -> int:
    if text is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise ApiError(10025, "the cursor is not one of this list") from None
