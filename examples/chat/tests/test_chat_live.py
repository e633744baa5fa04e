"""Messages over WebSockets, across tasks."""

import asyncio
import json
import signal
import uuid

import httpx
import pytest
import websockets
from websockets.asyncio.client import connect

pytestmark = pytest.mark.dock


class Socket:
    """One side of a conversation. What is not heard yet is kept, by kind."""

    def __init__(self, task, client: httpx.Client, conversation: str, after: int = 0, **options) -> None:
        headers = {"cookie": f"session={client.cookies['session']}"} | options.pop("headers", {})
        url = f"{task.url.replace('http', 'ws')}/api/conversations/{conversation}/live?after={after}"
        self._connecting = connect(url, additional_headers=headers, open_timeout=10, **options)
        self._kept: dict[str, list[dict]] = {}

    async def __aenter__(self) -> "Socket":
        self.connection = await self._connecting.__aenter__()
        return self

    async def __aexit__(self, *how) -> None:
        await self._connecting.__aexit__(*how)

    async def hear(self, kind: str = "message", seconds: float = 5.0) -> dict:
        async with asyncio.timeout(seconds):
            while not self._kept.get(kind):
                document = json.loads(await self.connection.recv())
                self._kept.setdefault(document["type"], []).append(document)
        return self._kept[kind].pop(0)

    async def say(self, text: str, client_id: str | None = None) -> str:
        client_id = client_id or str(uuid.uuid4())
        await self.connection.send(json.dumps({"type": "message", "client_id": client_id, "text": text}))
        return client_id

    async def closed_with(self) -> int:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await self.hear("never")
        return closed.value.rcvd.code


@pytest.fixture
def two_tasks(environment, start_task):
    return start_task(environment), start_task(environment)


@pytest.fixture
def tea(two_tasks, visitor):
    """Alice at the first task, Bob at the second, and their conversation."""
    alice, bob = visitor(two_tasks[0], "alice"), visitor(two_tasks[1], "bob")
    opened = alice.post("/api/conversations", json={"title": "Tea", "members": ["bob"]})
    return alice, bob, opened.json()["id"]


async def test_a_message_reaches_a_socket_at_another_task(two_tasks, tea):
    alice, bob, conversation = tea
    async with Socket(two_tasks[0], alice, conversation) as hers, Socket(two_tasks[1], bob, conversation) as his:
        greetings = await hers.hear("hello"), await his.hear("hello")
        assert greetings[0]["task"] != greetings[1]["task"]
        sent = await hers.say("Milk?")
        acknowledged = await hers.hear("ack")
        assert (acknowledged["client_id"], acknowledged["number"]) == (sent, 1)
        heard = (await his.hear())["message"]
        assert (heard["author"], heard["text"], heard["number"]) == ("alice", "Milk?", 1)
        # … and what is posted over HTTP arrives as well.
        path = f"/api/conversations/{conversation}/messages"
        await asyncio.to_thread(bob.post, path, json={"client_id": str(uuid.uuid4()), "text": "Please."})
        assert (await hers.hear())["message"]["number"] == 1
        assert (await hers.hear())["message"]["text"] == "Please."


async def test_who_was_away_gets_what_was_missed_once_and_in_order(two_tasks, tea):
    alice, bob, conversation = tea
    async with Socket(two_tasks[0], alice, conversation) as hers:
        for n in range(5):
            await hers.say(f"message {n}")
        async with Socket(two_tasks[1], bob, conversation, after=2) as his:
            assert [(await his.hear())["message"]["number"] for _ in range(3)] == [3, 4, 5]
            await hers.say("the next")
            assert (await his.hear())["message"]["number"] == 6


async def test_many_at_once_are_delivered_without_a_gap(two_tasks, tea):
    alice, bob, conversation = tea
    async with Socket(two_tasks[0], alice, conversation) as hers, Socket(two_tasks[1], bob, conversation) as his:
        await asyncio.gather(*(side.say(f"m{n}") for n in range(40) for side in (hers, his)))
        for side in (hers, his):
            assert [(await side.hear(seconds=15))["message"]["number"] for _ in range(80)] == list(range(1, 81))


async def test_a_message_repeated_over_a_socket_is_acknowledged_with_its_first_number(two_tasks, tea):
    alice, _, conversation = tea
    async with Socket(two_tasks[0], alice, conversation) as hers:
        sent = await hers.say("once")
        first = await hers.hear("ack")
        await hers.say("once", client_id=sent)
        assert await hers.hear("ack") == first


async def test_without_the_cache_messages_still_arrive(own_environment, own_redis, start_task, visitor):
    own_redis.stop()
    own_redis.extra = ["--appendonly", "yes", "--appendfsync", "always"]  # sessions outlive its restart
    own_redis.start()
    first, second = start_task(own_environment), start_task(own_environment)
    alice, bob = visitor(first, "alice"), visitor(second, "bob")
    conversation = alice.post("/api/conversations", json={"title": "Tea", "members": ["bob"]}).json()["id"]
    async with Socket(first, alice, conversation) as hers, Socket(second, bob, conversation) as his:
        await his.hear("hello")
        own_redis.stop()
        await hers.say("anyone?")
        assert (await hers.hear("ack", seconds=10))["number"] == 1, "an open socket can post without the cache"
        assert (await hers.hear())["message"]["text"] == "anyone?"
        own_redis.start()
        assert (await his.hear(seconds=25))["message"]["text"] == "anyone?", "the other task catches up"
        await hers.say("again")
        assert (await his.hear(seconds=25))["message"]["text"] == "again"


async def test_nonsense_over_a_socket_is_answered_and_the_socket_stays(two_tasks, tea):
    alice, _, conversation = tea
    async with Socket(two_tasks[0], alice, conversation) as hers:
        for text in ("", "{", "[]", '{"type": "message"}', '{"type": "shout", "client_id": 1}'):
            await hers.connection.send(text)
            assert (await hers.hear("error"))["code"] == "invalid"
        await hers.say("still here")
        assert (await hers.hear("ack"))["number"] == 1
        await hers.connection.send(b"\x00\x01")
        assert await hers.closed_with() == 1003


async def test_strangers_are_turned_away_with_a_code(two_tasks, tea, visitor):
    alice, _, conversation = tea
    mallory = visitor(two_tasks[0], "mallory")

    async def code(connecting: Socket) -> int:
        async with connecting as connection:
            return await connection.closed_with()

    assert await code(Socket(two_tasks[0], mallory, conversation)) == 4404
    assert await code(Socket(two_tasks[0], alice, str(uuid.uuid4()))) == 4404
    assert await code(Socket(two_tasks[0], alice, conversation, headers={"cookie": "session=forged"})) == 4401
    foreign = Socket(two_tasks[0], alice, conversation, origin="http://elsewhere.example")
    assert await code(foreign) == 1008
    assert await code(Socket(two_tasks[0], alice, conversation, after=-1)) == 1008


async def test_at_the_end_of_a_task_sockets_are_closed_with_1001_and_the_process_ends_well(two_tasks, tea):
    alice, _, conversation = tea
    task = two_tasks[0]
    async with Socket(task, alice, conversation) as hers:
        await hers.say("the last")
        await hers.hear("ack")
        task.process.send_signal(signal.SIGTERM)
        assert await hers.closed_with() == 1001
    assert await asyncio.to_thread(task.process.wait, 10) == 0
