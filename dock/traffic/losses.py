"""Reads back every message that was acknowledged, and names those that are gone."""

from __future__ import annotations

from collections import defaultdict

from aiohttp import ClientError, ClientSession, ClientTimeout, CookieJar, TCPConnector

from dock.traffic.names import DockResolver
from dock.traffic.record import Message, Record

READ_SECONDS = 30


async def lost(record: Record, url: str | None = None, dns: str | None = None, *, verify: bool = True) -> list[Message]:
    """The acknowledged messages that the service at `url` (the record's own, unless given) does not have.

    A message is there only with the number and the client's id that were acknowledged. Raises RuntimeError when they
    can't be read: then nothing is known, which is not the same as nothing lost.
    """
    base = str(url or record.facts["url"]).rstrip("/")
    by_user: dict[str, list[Message]] = defaultdict(list)
    for message in record.messages():
        by_user[message.user].append(message)
    passwords = record.users() if by_user else {}
    missing: list[Message] = []
    for user, messages in by_user.items():
        resolver = DockResolver(dns) if dns else None
        async with ClientSession(
            connector=TCPConnector(resolver=resolver, ssl=verify),
            cookie_jar=CookieJar(unsafe=True),
            timeout=ClientTimeout(total=READ_SECONDS),
        ) as session:
            try:
                async with session.post(
                    f"{base}/api/session", json={"name": user, "password": passwords[user]}
                ) as response:
                    if response.status == 401:
                        # The account itself is gone, and with it all that its user wrote.
                        missing += messages
                        continue
                    response.raise_for_status()
                for conversation in {message.conversation for message in messages}:
                    there = await _ids(session, base, conversation)
                    missing += [
                        message
                        for message in messages
                        if message.conversation == conversation and there.get(message.number) != message.client_id
                    ]
            except (ClientError, OSError, TimeoutError) as problem:
                raise RuntimeError(
                    f"the messages of {user} can't be read: {problem or type(problem).__name__}"
                ) from problem
    return sorted(missing, key=lambda message: message.at)


async def _ids(session: ClientSession, base: str, conversation: str) -> dict[int, str]:
    """The client's id of each number; empty when the conversation is gone. Read from the database, page by page."""
    found: dict[int, str] = {}
    after = 0
    while True:
        url = f"{base}/api/conversations/{conversation}/messages?after={after}"
        async with session.get(url) as response:
            if response.status == 404:
                return {}
            response.raise_for_status()
            page = (await response.json())["messages"]
        if not page:
            return found
        found.update({message["number"]: message["client_id"] for message in page})
        after = max(found)
