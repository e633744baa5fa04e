"""Users against a service whose failures the test chooses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dock.traffic import Load, Record, Shape
from dock.traffic.losses import lost
from dock.traffic.plot import draw
from dock.traffic.report import summarise
from tests.dock.traffic.service import Chat

QUICK = Shape(per_second=100, users=4, listeners=1)


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    chat = Chat()
    await chat.start()
    yield chat
    await chat.stop()


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "record")


async def test_every_request_is_recorded_and_every_promise_kept(chat: Chat, record: Record) -> None:
    load = Load(chat.url, QUICK, record)
    async with load.running():
        await _until(lambda: load.sent >= 60)
    answers = record.answers()
    asked = [answer for answer in answers if answer.kind in ("read", "post", "log in")]
    assert len(asked) == load.sent
    assert {answer.kind for answer in answers} == {"read", "post", "log in", "connect"}
    summary = summarise(answers)
    assert summary.failed == 0
    assert summary.releases == {"1.0.0": len(answers)}
    assert len(record.messages()) == sum(len(kept) for kept in chat.messages.values()) > 0
    assert await lost(record) == []


async def test_a_message_that_was_acknowledged_and_is_gone_is_found(chat: Chat, record: Record) -> None:
    load = Load(chat.url, QUICK, record)
    async with load.running():
        await _until(lambda: load.sent >= 60)
    victim = record.messages()[3]
    kept = chat.messages[victim.conversation]
    kept[:] = [message for message in kept if message["number"] != victim.number]
    assert await lost(record) == [victim]


async def test_another_message_under_the_same_number_is_no_substitute(chat: Chat, record: Record) -> None:
    load = Load(chat.url, QUICK, record)
    async with load.running():
        await _until(lambda: load.sent >= 60)
    victim = record.messages()[0]
    chat.messages[victim.conversation][victim.number - 1]["client_id"] = "another"
    assert await lost(record) == [victim]


async def test_messages_that_can_not_be_read_are_not_called_kept(chat: Chat, record: Record) -> None:
    load = Load(chat.url, QUICK, record)
    async with load.running():
        await _until(lambda: load.sent >= 60)
    chat.fail = True
    with pytest.raises(RuntimeError, match="can't be read"):
        await lost(record)


async def test_failures_are_recorded_and_traffic_goes_on(chat: Chat, record: Record) -> None:
    load = Load(chat.url, QUICK, record)
    async with load.running():
        await _until(lambda: load.sent >= 30)
        chat.fail = True
        await _until(lambda: load.sent >= 60)
        chat.fail = False
        await _until(lambda: load.sent >= 100)
    summary = summarise(record.answers())
    assert 20 <= summary.failed <= 40
    assert summary.statuses["503"] == summary.failed
    (outage,) = summary.outages
    assert outage.seconds is not None
    assert 0.15 < outage.seconds < 1.5


async def test_a_stall_shows_at_its_full_length_for_every_request_that_was_due_meanwhile(
    chat: Chat, record: Record
) -> None:
    load = Load(chat.url, QUICK, record)
    async with load.running():
        await _until(lambda: load.sent >= 20)
        chat.stall.clear()
        before = load.sent
        await _until(lambda: load.sent >= before + 80)
        chat.stall.set()
    waited = [answer.seconds for answer in record.answers()]
    # Users kept coming while nobody was answered: those 80 waited 0.8 s down to nothing.
    assert sum(each > 0.3 for each in waited) >= 40
    assert max(waited) > 0.7


async def test_the_rate_is_kept(chat: Chat, record: Record) -> None:
    load = Load(chat.url, QUICK, record)
    async with load.running():
        await _until(lambda: load.sent >= 100)
    asked = [answer.at for answer in record.answers() if answer.kind != "connect"]
    assert asked[-1] - asked[0] == pytest.approx((load.sent - 1) / QUICK.per_second, abs=0.02)


async def test_a_service_that_lets_nobody_in_is_told_at_once(record: Record) -> None:
    with pytest.raises(RuntimeError, match=r"POST http://127\.0\.0\.1:9/api/accounts"):
        async with Load("http://127.0.0.1:9", QUICK, record).running():
            pass


async def test_a_record_is_never_written_into_another(chat: Chat, record: Record) -> None:
    record.begin()
    with pytest.raises(FileExistsError, match="another run's record"):
        async with Load(chat.url, QUICK, record).running():
            pass


async def test_a_record_that_was_cut_off_in_its_last_line_is_read_up_to_there(chat: Chat, record: Record) -> None:
    load = Load(chat.url, QUICK, record)
    async with load.running():
        await _until(lambda: load.sent >= 30)
    whole = len(record.answers())
    with (record.folder / "requests.jsonl").open("a") as lines:
        lines.write('{"at": 17')
    assert len(record.answers()) == whole


async def test_users_come_from_the_addresses_that_they_are_given(chat: Chat, record: Record) -> None:
    load = Load(chat.url, Shape(50, 2, 0, sources=("127.0.0.77", "127.0.0.78")), record)
    async with load.running():
        await _until(lambda: load.sent >= 10)
    assert summarise(record.answers()).failed == 0


@pytest.mark.parametrize("wrong", [{"per_second": 0}, {"per_second": 5000}, {"users": 0}, {"users": 2, "listeners": 3}])
def test_a_shape_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"per_second|listener"):
        Shape(**wrong)  # type: ignore[arg-type]


async def test_the_plot_is_a_picture_also_of_nothing(chat: Chat, record: Record, tmp_path: Path) -> None:
    load = Load(chat.url, QUICK, record)
    async with load.running():
        await _until(lambda: load.sent >= 20)
        chat.fail = True
        await _until(lambda: load.sent >= 40)
    answers = record.answers()
    for name, some in (("some.png", answers), ("none.png", [])):
        draw(some, tmp_path / name, {"deploy": answers[5].at})
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


async def _until(condition: object, seconds: float = 10) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
