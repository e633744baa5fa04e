"""Faults of the API: what happens to a call before and after it acts."""

from __future__ import annotations

import asyncio
import fnmatch
import random
import time
from dataclasses import dataclass, field

from dock.aws import errors
from dock.aws.request import Identified, Protocol
from dock.aws.service import AwsError
from dock.faults.book import Book
from dock.faults.model import OF_APIS, Fault, Kind
from dock.http import Answer


class BrokenOffError(Exception):
    """The caller gets no answer: its connection ends."""


@dataclass
class Encounter:
    """One call and the faults that hit it."""

    identified: Identified
    faults: list[Fault] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [fault.id for fault in self.faults]

    async def before(self) -> None:
        """Delay, refuse or break off. Raises AwsError in the service's own words, or BrokenOffError."""
        for fault in self.faults:
            if fault.kind is Kind.API_SLOW:
                await asyncio.sleep(fault.latency or 0.0)
        for fault in self.faults:
            match fault.kind:
                case Kind.REGION_DOWN:
                    raise BrokenOffError
                case Kind.ACCOUNT_DENIED:
                    raise _denied(self.identified)
                case Kind.API_THROTTLED:
                    raise errors.throttled(self.identified)
                case Kind.API_FAILING:
                    raise _failure(self.identified, fault)

    def after(self, answer: Answer) -> Answer:
        """What comes of the answer. Raises BrokenOffError, or AwsError, when the call acted and nobody shall know."""
        for fault in self.faults:
            if fault.kind is Kind.API_LOST:
                if fault.status is None:
                    raise BrokenOffError
                raise AwsError("ServiceUnavailable", "The service is temporarily unable to answer", fault.status)
        return answer


class ApiFaults:
    """Which faults a call meets."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._draws: dict[str, random.Random] = {}
        self._buckets: dict[str, tuple[float, float]] = {}

    def encounter(self, identified: Identified, account: str | None) -> Encounter:
        """The faults that are on for this call; a fault with a number of calls has one less afterwards."""
        if not len(self._book):
            return Encounter(identified)
        now = time.time()
        met = [
            fault
            for fault in self._book
            if fault.kind in OF_APIS
            and fault.until > now
            and fault.calls != 0
            and _selects(fault, identified, account)
            and self._drawn(fault)
        ]
        for fault in met:
            self._book.spend(fault.id)
        return Encounter(identified, met)

    def forget(self, identifier: str) -> None:
        self._draws.pop(identifier, None)
        self._buckets.pop(identifier, None)

    def _drawn(self, fault: Fault) -> bool:
        if fault.share < 1:
            draws = self._draws.setdefault(fault.id, random.Random(fault.seed))  # noqa: S311  (no secret)
            if draws.random() >= fault.share:
                return False
        return fault.rate is None or not self._lets_through(fault.id, fault.rate)

    def _lets_through(self, identifier: str, rate: float) -> bool:
        """A token bucket as AWS's APIs have one: `rate` calls a second, a second's worth at once."""
        now = time.monotonic()
        tokens, since = self._buckets.get(identifier, (max(1.0, rate), now))
        tokens = min(max(1.0, rate), tokens + (now - since) * rate)
        goes = tokens >= 1 and rate > 0
        self._buckets[identifier] = (tokens - 1 if goes else tokens, now)
        return goes


def _selects(fault: Fault, identified: Identified, account: str | None) -> bool:
    return (
        (fault.service is None or fault.service in (identified.service, identified.signing_name))
        and (fault.operation is None or fnmatch.fnmatchcase(identified.operation or identified.asked, fault.operation))
        and (fault.account is None or fault.account == account)
        and (fault.region is None or fault.region == identified.region)
        and (fault.principal is None or fault.principal == identified.access_key)
    )


def _denied(identified: Identified) -> AwsError:
    message = f"The account is not authorized to perform {identified.service}:{identified.asked}"
    match identified.protocol:
        case Protocol.EC2:
            return AwsError("UnauthorizedOperation", message, 403)
        case Protocol.QUERY | Protocol.REST_XML:
            return AwsError("AccessDenied", message, 403)
        case Protocol.REST_JSON:
            return AwsError("AccessDeniedException", message, 403)
    return AwsError("AccessDeniedException", message, 400)


def _failure(identified: Identified, fault: Fault) -> AwsError:
    """A 5xx, or the error that was named, with the status that the service declares for it."""
    code = fault.error or ("InternalError" if identified.service in ("s3", "ec2") else "InternalFailure")
    declared = errors.declared_status(identified.model, code)
    status = fault.status or (declared[1] if declared is not None else (400 if fault.error else 500))
    return AwsError(code, f"the dock makes this call fail (fault {fault.id})", status)
