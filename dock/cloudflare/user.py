"""The user's tokens, and the accounts."""

from __future__ import annotations

from typing import Any

from dock.cloudflare.errors import ApiError
from dock.cloudflare.records import ACCOUNTS
from dock.cloudflare.route import Call, Page, Part, paged, route, text
from dock.cloudflare.tokens import ROOT, checked, groups
from dock.store import Record

# A call that every valid token may make.
ANYBODY = ""


class User(Part):
    @route("GET", "/user/tokens/verify", ANYBODY)
    async def verify(self, call: Call) -> dict[str, Any]:
        return {"id": call.token.id, "status": "active"}

    @route("GET", "/user/tokens/permission_groups", "API Tokens", acts="name scope")
    async def permission_groups(self, call: Call) -> list[dict[str, Any]]:
        return [
            group
            for group in groups()
            if call.query.get("name", "") in group["name"]
            and call.query.get("scope", group["scopes"][0]) in group["scopes"]
        ]

    @route("GET", "/user/tokens", "API Tokens")
    async def tokens(self, call: Call) -> Page:
        return paged([_described(each) for each in self.cloudflare.tokens.all()], call.query)

    @route("POST", "/user/tokens", "API Tokens", acts="name policies expires_on")
    async def create(self, call: Call) -> dict[str, Any]:
        if call.body.get("condition") or call.body.get("not_before"):
            raise ApiError(1004, "the dock's tokens have no condition and no not_before")
        name = text(call.body, "name", required=True, longest=120) or ""
        policies = checked(call.body.get("policies"))
        self._refuse_more_than_own(call, policies)
        record, value = self.cloudflare.tokens.create(name, policies, text(call.body, "expires_on"))
        return {**_described(record), "value": value}

    @route("GET", "/user/tokens/{token_id}", "API Tokens")
    async def get(self, call: Call) -> dict[str, Any]:
        return _described(self.cloudflare.tokens.get(call.path["token_id"]))

    @route("PUT", "/user/tokens/{token_id}", "API Tokens", acts="name policies status expires_on")
    async def update(self, call: Call) -> dict[str, Any]:
        record = self.cloudflare.tokens.get(call.path["token_id"])
        policies = checked(call.body.get("policies", record["policies"]))
        self._refuse_more_than_own(call, policies)
        if call.body.get("status", "active") not in ("active", "disabled"):
            raise ApiError(1004, "status is active or disabled")
        record.update(
            name=text(call.body, "name", longest=120) or record["name"],
            policies=policies,
            status=call.body.get("status", record["status"]),
            expires_on=text(call.body, "expires_on"),
        )
        self.cloudflare.tokens.put(record)
        return _described(record)

    @route("PUT", "/user/tokens/{token_id}/value", "API Tokens")
    async def roll(self, call: Call) -> str:
        return self.cloudflare.tokens.roll(self.cloudflare.tokens.get(call.path["token_id"]))

    @route("DELETE", "/user/tokens/{token_id}", "API Tokens")
    async def delete(self, call: Call) -> dict[str, Any]:
        record = self.cloudflare.tokens.get(call.path["token_id"])
        self.cloudflare.tokens.delete(record["id"])
        return {"id": record["id"]}

    @route("GET", "/accounts", ANYBODY, acts="name")
    async def accounts(self, call: Call) -> Page:
        found = [
            {"id": identifier, "name": name, "type": "standard", "settings": {"enforce_twofactor": False}}
            for identifier, name in ACCOUNTS.items()
            if call.query.get("name", name) == name
        ]
        return paged(found, call.query)

    @staticmethod
    def _refuse_more_than_own(call: Call, policies: list[dict[str, Any]]) -> None:
        """Nobody makes a token that may more than their own."""
        if call.token.id == ROOT:
            return
        own = {group["id"] for policy in call.token.policies or () for group in policy["permission_groups"]}
        if any(group["id"] not in own for policy in policies for group in policy["permission_groups"]):
            raise ApiError(10000, "Authentication error", 403)


def _described(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "digest" and value is not None}
