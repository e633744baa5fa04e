"""The way to the DNS server: what it has to serve is written and loaded, and what it sees is asked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from dnslib import DNSRecord

from dock.aws.route53.balancers import Balancers
from dock.aws.route53.check_config import REGIONS as CHECKER_REGIONS
from dock.aws.route53.document import document
from dock.aws.route53.records import Records
from dock.aws.service import AwsError
from dock.engines.dns import DnsServer, DnsServerError

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

# Seconds between looks at what changes without a call to this service: load balancers, and alarms.
BALANCERS_SECONDS = 1.0
ALARMS_SECONDS = 2.0
STATUS_SECONDS = 1.0
QUERY_SECONDS = 3.0


class Plane:
    """`changed` is called after each change that was kept; `served` is the generation that the server serves."""

    def __init__(self, cloud: Cloud, records: Records) -> None:
        self._cloud = cloud
        self._records = records
        self.balancers = Balancers(cloud)
        self.checkers = {
            region: f"127.{cloud.addresses.octet}.0.{number}" for number, region in enumerate(CHECKER_REGIONS, start=61)
        }
        address, port = cloud.addresses.dns
        self.server = DnsServer(cloud.home, cloud.supervisor, address, port, self.checkers)
        self.served = -1
        self.health: dict[str, dict[str, Any]] = {}
        self.problem: str | None = None
        """Why the server doesn't serve what was kept last; None while it does."""
        self._event = asyncio.Event()
        self._written: dict[str, Any] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._clients: dict[tuple[str, str], Any] = {}

    @property
    def regions(self) -> tuple[str, ...]:
        """Where alarms can be."""
        from dock.cloud import REGIONS

        return REGIONS

    async def start(self) -> None:
        """Bring the server up with what is kept, and keep it so."""
        await asyncio.to_thread(self.server.write, self._document())
        await self.server.start()
        await self._publish()
        self._tasks = [
            self._cloud.spawn(self.server.watch(), "watch the DNS server"),
            self._cloud.spawn(self._follow(), "publish zones"),
            self._cloud.spawn(self._follow_alarms(), "follow alarms of health checks"),
            self._cloud.spawn(self._follow_health(), "follow health checks"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.server.stop()

    def changed(self) -> None:
        self._event.set()

    async def observations(self, check: str) -> list[dict[str, Any]]:
        """What a health check's checkers saw. Raises DnsServerError."""
        answer = await self.server.ask({"do": "observations", "check": check})
        found: list[dict[str, Any]] = answer["observations"]
        return found

    async def query(self, name: str, kind: str) -> tuple[DNSRecord, str]:
        """The server's answer to a question, and the protocol that it took. Raises AwsError when there is none."""
        question = DNSRecord.question(name, kind)
        try:
            for protocol in ("UDP", "TCP"):
                packet = await asyncio.to_thread(
                    question.send, self.server.address, self.server.port, protocol == "TCP", QUERY_SECONDS
                )
                answer = DNSRecord.parse(packet)
                if not answer.header.tc:
                    break
        except (TimeoutError, OSError) as problem:
            raise AwsError("InternalFailure", f"the DNS server does not answer: {problem!r}", 500) from None
        return answer, protocol

    def _document(self) -> dict[str, Any]:
        return document(self._records, self.balancers, self.server.address)

    async def _follow(self) -> None:
        """Publish after each change, at once; and when a load balancer that an alias leads to is another one now."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BALANCERS_SECONDS):
                    await self._event.wait()
            self._event.clear()
            await self._publish()

    async def _publish(self) -> None:
        try:
            wanted = self._document()
            if wanted == self._written and self.served == wanted["generation"]:
                return
            await asyncio.to_thread(self.server.write, wanted)
            self.served = await self.server.load()
            self._written, self.problem = wanted, None
        except (DnsServerError, OSError) as problem:
            if self.problem is None:
                log.error("the DNS server does not serve the last change: %s", problem)
            self.problem = str(problem)

    async def _follow_alarms(self) -> None:
        while True:
            states = await self._alarm_states()
            if states:
                with contextlib.suppress(DnsServerError):
                    await self.server.ask({"do": "alarms", "states": states})
            await asyncio.sleep(ALARMS_SECONDS)

    async def _alarm_states(self) -> dict[str, str]:
        """The states of the alarms that health checks follow, by the check's id."""
        wanted: dict[tuple[str, str], dict[str, list[str]]] = {}
        for scope, identifier, check in self._records.checks.all():
            if (alarm := check["config"].get("AlarmIdentifier")) is not None:
                place = wanted.setdefault((scope.account, alarm["Region"]), {})
                place.setdefault(alarm["Name"], []).append(identifier)
        states = {}
        for (account, region), alarms in wanted.items():
            try:
                found = await asyncio.to_thread(self._describe_alarms, account, region, list(alarms))
            except (ClientError, BotoCoreError) as problem:
                log.warning("CloudWatch does not tell the states of alarms in %s: %s", region, problem)
                found = {}
            for name, identifiers in alarms.items():
                states.update(dict.fromkeys(identifiers, found.get(name, "INSUFFICIENT_DATA")))
        return states

    def _describe_alarms(self, account: str, region: str, wanted: list[str]) -> dict[str, str]:
        client = self._clients.get((account, region))
        if client is None:
            client = self._clients[account, region] = self._cloud.client("cloudwatch", account, region)
        found = {}
        for start in range(0, len(wanted), 100):
            answer = client.describe_alarms(AlarmNames=wanted[start : start + 100], AlarmTypes=["MetricAlarm"])
            found.update({alarm["AlarmName"]: alarm["StateValue"] for alarm in answer["MetricAlarms"]})
        return found

    async def _follow_health(self) -> None:
        while True:
            with contextlib.suppress(DnsServerError):
                answer = await self.server.ask({"do": "status"})
                self.health = answer["checks"]
            await asyncio.sleep(STATUS_SECONDS)
