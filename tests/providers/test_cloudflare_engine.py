"""The plugin under the real engine: Cloudflare's unchanged SDK on the dock's API."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from cloudflare import Cloudflare

from dock.cloud import Cloud
from dock.home import Home
from tests.providers.project import Project

pytestmark = [pytest.mark.dock, pytest.mark.engine]

ACCOUNT = "00000000000000000000000000000001"
PROGRAM = """
    import pulumi
    import pulumi_cloudflare as cloudflare

    account = "00000000000000000000000000000001"
    zone = cloudflare.Zone("zone", account={"id": account}, name="chat.example")
    record = cloudflare.DnsRecord(
        "record", zone_id=zone.id, name="www.chat.example", type="A", content="127.0.0.9", ttl=1, proxied=True,
    )
    level = cloudflare.ZoneSetting("level", zone_id=zone.id, setting_id="security_level", value="high")
    blocked = cloudflare.List("blocked", account_id=account, name="blocked", kind="ip", description="Attackers")
    item = cloudflare.ListItem("item", account_id=account, list_id=blocked.id, ip="192.0.2.1", comment="one")
    access = cloudflare.AccessRule(
        "access", zone_id=zone.id, mode="block", configuration={"target": "ip", "value": "192.0.2.2"}, notes="two",
    )
    rules = cloudflare.Ruleset(
        "rules", zone_id=zone.id, kind="zone", name="firewall", phase="http_request_firewall_custom",
        rules=[{
            "ref": "blocked", "action": "block", "expression": "ip.src in $blocked", "description": "%s",
            "action_parameters": {"response": {"status_code": 403, "content": "no", "content_type": "text/plain"}},
        }],
        opts=pulumi.ResourceOptions(depends_on=[blocked]),
    )
    limits = cloudflare.Ruleset(
        "limits", zone_id=zone.id, kind="zone", name="limits", phase="http_ratelimit",
        rules=[{
            "ref": "api", "action": "block", "expression": 'starts_with(http.request.uri.path, "/api/")',
            "ratelimit": {"characteristics": ["ip.src", "cf.colo.id"], "period": 60, "requests_per_period": 100,
                          "mitigation_timeout": 600},
        }],
    )
    pulumi.export("zone", zone.id)
    pulumi.export("servers", zone.name_servers)
    pulumi.export("list", blocked.id)
"""


@dataclass
class Dock:
    url: str
    token: str


@pytest.fixture(scope="module")
def dock() -> Iterator[Dock]:
    """Cloudflare's half of a dock, without the rest."""
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    started: Queue[Dock | BaseException] = Queue()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def live() -> None:
        cloud = Cloud(Home(root / "home"), [])
        try:
            await cloud.cloudflare.start()
            started.put(Dock(cloud.cloudflare.url, cloud.cloudflare.tokens.root))
            await ended.wait()
        except BaseException as problem:
            started.put(problem)
        finally:
            await cloud.cloudflare.stop()
            cloud.store.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(live()), daemon=True)
    thread.start()
    try:
        answer = started.get(timeout=60)
        if isinstance(answer, BaseException):
            raise answer
        yield answer
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(timeout=30)
        shutil.rmtree(root, ignore_errors=True)


def test_a_program_is_applied_once_drift_is_seen_and_everything_goes(dock: Dock, tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project", "http://127.0.0.1:9")
    project.environment.update(CLOUDFLARE_BASE_URL=dock.url, CLOUDFLARE_API_TOKEN=dock.token)
    client: Any = Cloudflare(api_token=dock.token, base_url=dock.url, max_retries=0)
    project.write(PROGRAM % "attackers")
    project.up()
    assert project.unchanged()
    outputs = project.outputs()
    zone = outputs["zone"]
    assert len(outputs["servers"]) == 2
    assert client.zones.settings.get("security_level", zone_id=zone).value == "high"
    (item,) = client.rules.lists.items.list(outputs["list"], account_id=ACCOUNT).result
    assert item.ip == "192.0.2.1"
    ruleset = next(each for each in client.rulesets.list(zone_id=zone) if each.phase == "http_request_firewall_custom")
    assert ruleset.version == "1"

    # A change of one rule is an update in place, and a new version.
    project.write(PROGRAM % "attackers of today")
    assert "1 updated" in project.up()
    assert client.rulesets.get(ruleset.id, zone_id=zone).version == "2"

    # Somebody else's change is drift, and the program's word wins again.
    client.zones.settings.edit("security_level", zone_id=zone, value="under_attack")
    assert project.unchanged()
    assert "level" in project.refresh()
    assert not project.unchanged()
    assert "1 updated" in project.up()
    assert client.zones.settings.get("security_level", zone_id=zone).value == "high"

    project.pulumi("destroy", "--yes", "--skip-preview")
    assert project.resources() == {}
    assert list(client.zones.list()) == []
    assert list(client.rules.lists.list(account_id=ACCOUNT)) == []


def test_a_shell_without_the_dock_is_told_so_and_nothing_goes_out(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project", "http://127.0.0.1:9")
    project.write(PROGRAM % "attackers")
    for name in ("CLOUDFLARE_BASE_URL", "CLOUDFLARE_API_TOKEN"):
        project.environment.pop(name, None)
    said = project.up(code=None)
    assert "CLOUDFLARE_BASE_URL is not set" in said
    project.environment["CLOUDFLARE_BASE_URL"] = "https://api.example.invalid/client/v4"
    assert "only talks to a dock on this machine" in project.up(code=None)
