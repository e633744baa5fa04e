"""Log events: put, read in order, and searched."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from dock.aws.logs.archive import EVENT_OVERHEAD_BYTES, Event, Group
from dock.aws.logs.metric_filters import MetricFilters
from dock.aws.logs.pattern import compile_pattern
from dock.aws.service import AwsError, Call, Request, Response, operation

MAX_BATCH_BYTES = 1_048_576
MAX_EVENT_BYTES = 1_048_576
_TWO_HOURS, _FOURTEEN_DAYS = 7_200_000, 14 * 86_400_000
_FOR_EVER = 1 << 62
_TOKEN = re.compile(r"([fb])/(-?\d+)/(-?\d+)")


class Events(MetricFilters):
    """Handlers of events."""

    @operation("PutLogEvents", acts="logGroupName logStreamName logEvents sequenceToken", records="entity")
    async def put_log_events(self, call: Call, request: Request) -> Response:
        events = [(event["timestamp"], event["message"]) for event in request["logEvents"]]
        _check_batch(events)
        group = await self.group_of(call, request)
        now = self.now()
        oldest = now - min(_FOURTEEN_DAYS, group.retention * 86_400_000 if group.retention else _FOURTEEN_DAYS)
        times = [timestamp for timestamp, _ in events]
        rejected: dict[str, int] = {}
        if any(time > now + _TWO_HOURS for time in times):
            rejected["tooNewLogEventStartIndex"] = next(i for i, time in enumerate(times) if time > now + _TWO_HOURS)
        old = [index for index, time in enumerate(times) if time < now - _FOURTEEN_DAYS]
        expired = [index for index, time in enumerate(times) if now - _FOURTEEN_DAYS <= time < oldest]
        if old:
            rejected["tooOldLogEventEndIndex"] = old[-1] + 1
        if expired:
            rejected["expiredLogEventEndIndex"] = expired[-1] + 1
        accepted = [event for event in events if oldest <= event[0] <= now + _TWO_HOURS]
        found = await asyncio.to_thread(
            self.archive.append, group, request["logStreamName"], accepted, now, create=False, source=None
        )
        if not found:
            raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
        self.measure(group, accepted)
        return {"nextSequenceToken": str(now), "rejectedLogEventsInfo": rejected or None}

    @operation(
        "GetLogEvents",
        acts="logGroupName logGroupIdentifier logStreamName startTime endTime nextToken limit startFromHead unmask",
    )
    async def get_log_events(self, call: Call, request: Request) -> Response:
        group = await self.group_of(call, request)
        stream = await asyncio.to_thread(self.archive.stream, group, request["logStreamName"])
        if stream is None:
            raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
        backward, place = not request.get("startFromHead", False), None
        if "nextToken" in request:
            match = _TOKEN.fullmatch(request["nextToken"])
            if match is None:
                raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")
            backward, place = match[1] == "b", (int(match[2]), int(match[3]))
        start, end = self._window(group, request)
        events = await asyncio.to_thread(
            self.archive.events,
            group,
            [stream.id],
            start=start,
            end=end,
            after=None if backward else place,
            before=place if backward else None,
            backward=backward,
            limit=request.get("limit", 10_000),
        )
        events = _within_a_megabyte(events, keep_last=backward)
        # At an end of the stream the token comes back unchanged, which is how a reader notices.
        first = events[0].place if events else place or (_FOR_EVER if backward else -1, 0)
        last = events[-1].place if events else place or ((stream.last or 0) if backward else -1, _FOR_EVER)
        if not events and place is None:
            first, last = (start, 0), (start - 1, _FOR_EVER)
        return {
            "events": [
                {"timestamp": event.timestamp, "message": event.message, "ingestionTime": event.ingested}
                for event in events
            ],
            "nextForwardToken": f"f/{last[0]}/{last[1]}",
            "nextBackwardToken": f"b/{first[0]}/{first[1]}",
        }

    @operation(
        "FilterLogEvents",
        acts="logGroupName logGroupIdentifier logStreamNames logStreamNamePrefix startTime endTime filterPattern"
        " nextToken limit interleaved startFromHead unmask",
    )
    async def filter_log_events(self, call: Call, request: Request) -> Response:
        matches = compile_pattern(request.get("filterPattern", ""))
        group = await self.group_of(call, request)
        streams = await asyncio.to_thread(self.archive.streams, group, request.get("logStreamNamePrefix", ""))
        if (names := request.get("logStreamNames")) is not None:
            if "logStreamNamePrefix" in request:
                raise AwsError(
                    "InvalidParameterException", "logStreamNames and logStreamNamePrefix exclude each other."
                )
            missing = sorted(set(names) - {stream.name for stream in streams})
            if missing:
                raise AwsError("ResourceNotFoundException", f"The specified log stream does not exist: {missing[0]}")
            streams = [stream for stream in streams if stream.name in names]
        after = None
        if "nextToken" in request:
            match = _TOKEN.fullmatch(request["nextToken"])
            if match is None:
                raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")
            after = int(match[2]), int(match[3])
        newest_first = request.get("startFromHead") is False
        start, end = self._window(group, request)
        limit = request.get("limit", 10_000)
        everything = "logStreamNames" not in request and "logStreamNamePrefix" not in request
        found = await asyncio.to_thread(
            self.archive.events,
            group,
            None if everything else [stream.id for stream in streams],
            start=start,
            end=end,
            after=None if newest_first else after,
            before=after if newest_first else None,
            backward=newest_first,
            limit=limit + 1,
            matches=matches,
        )
        if newest_first:
            found.reverse()
        page = _within_a_megabyte(found[:limit], keep_last=False)
        by_id = {stream.id: stream.name for stream in await asyncio.to_thread(self.archive.streams, group)}
        more = len(page) < len(found)
        return {
            "events": [
                {
                    "logStreamName": by_id.get(event.stream, ""),
                    "timestamp": event.timestamp,
                    "message": event.message,
                    "ingestionTime": event.ingested,
                    "eventId": f"{event.timestamp:020d}{event.id:020d}",
                }
                for event in page
                if event.stream in by_id
            ],
            "searchedLogStreams": [],
            "nextToken": f"f/{page[-1].timestamp}/{page[-1].id}" if more else None,
        }

    def _window(self, group: Group, request: Request) -> tuple[int, int]:
        """From (inclusive) and to (exclusive), within what the group keeps."""
        start = request.get("startTime", 0)
        end = request.get("endTime", _FOR_EVER)
        if start > end:
            raise AwsError("InvalidParameterException", "endTime is before startTime.")
        if group.retention is not None:
            start = max(start, self.now() - group.retention * 86_400_000)
        return start, end


def _check_batch(events: list[tuple[int, str]]) -> None:
    def refuse(why: str) -> AwsError:
        return AwsError("InvalidParameterException", why)

    sizes = [len(message.encode()) + EVENT_OVERHEAD_BYTES for _, message in events]
    if any(not message for _, message in events):
        raise refuse("Log event message must not be empty.")
    if any(size > MAX_EVENT_BYTES for size in sizes):
        raise refuse(f"Log event too large: {max(sizes)} bytes exceeds limit of {MAX_EVENT_BYTES}")
    if sum(sizes) > MAX_BATCH_BYTES:
        raise refuse(f"Upload too large: {sum(sizes)} bytes exceeds limit of {MAX_BATCH_BYTES}")
    times = [time for time, _ in events]
    if times != sorted(times):
        raise refuse("Log events in a single PutLogEvents request must be in chronological order.")
    if times and times[-1] - times[0] > 86_400_000:
        raise refuse("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")


def _within_a_megabyte(events: list[Event], *, keep_last: bool) -> list[Event]:
    total, kept = 0, list[Any]()
    for event in reversed(events) if keep_last else events:
        total += len(event.message.encode()) + EVENT_OVERHEAD_BYTES
        if kept and total > MAX_BATCH_BYTES:
            break
        kept.append(event)
    return kept[::-1] if keep_last else kept
