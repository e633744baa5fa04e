"""Clusters of real servers, without a word of AWS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from dock.addresses import Addresses, Pool
from dock.certificates import CertificateAuthority
from dock.engines.postgres import Binaries, Catalogue, Cluster, Happening, PostgresError, Settings, Site, standby
from dock.engines.supervisor import Supervisor
from dock.home import Home, unprivileged_user
from dock.store import Store

pytestmark = pytest.mark.dock


class Rig:
    """A cluster's surroundings: what it tells is in `happened` and `targets`."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root / "home")
        self.home.create()
        self.store = Store(self.home.database)
        self.supervisor = Supervisor(self.store, self.home.root)
        account = unprivileged_user("postgres")
        self.user = (account.pw_uid, account.pw_gid) if account else None
        self.happened: list[Happening] = []
        self.targets: list[tuple[str, int] | None] = []
        addresses = Addresses(self.store)
        nodes = {name: addresses.allocate(Pool.NODE, name) for name in ("a", "b")}
        folder = self.home.data("pg")
        folder.mkdir(mode=0o711)
        (folder / "tls").mkdir(mode=0o711)
        self.site = Site(
            name="pg/one",
            folder=folder,
            sockets=self.home.run / "pg",
            logs=self.home.logs,
            addresses=nodes,
            certificate=CertificateAuthority(self.home).issue(folder / "tls", "one", list(nodes.values()), self.user),
            user=self.user,
            binaries=Binaries.find(),
            supervisor=self.supervisor,
        )

    def cluster(self, **settings: Any) -> Cluster:
        """As a daemon that was just started has it."""

        async def route(target: tuple[str, int] | None) -> None:
            self.targets.append(target)

        return Cluster(
            self.site,
            self.store.table("postgres/cluster"),
            Settings(**settings),
            lambda happening, _: self.happened.append(happening),
            route,
            lambda work, name: asyncio.create_task(work, name=name),
        )


@pytest.fixture
def rig() -> Any:
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    yield Rig(root)
    shutil.rmtree(root, ignore_errors=True)


@asynccontextmanager
async def running(rig: Rig, **settings: Any) -> AsyncIterator[Cluster]:
    cluster = rig.cluster(**settings)
    try:
        await cluster.create()
        await cluster.start()
        yield cluster
    finally:
        await cluster.destroy(keep_archive=False)


async def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "not in time"
        await asyncio.sleep(0.05)


async def execute(cluster: Cluster, *statements: str) -> Any:
    """Run statements on the primary; the last one's first value."""
    async with cluster.administer() as connection:
        for statement in statements:
            cursor = await connection.execute(statement)
        row = await cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def suspend(cluster: Cluster) -> list[psutil.Process]:
    assert cluster.standby.process is not None
    leader = psutil.Process(cluster.standby.process.pid)
    processes = [leader, *leader.children()]
    for process in processes:
        process.suspend()
    return processes


def test_every_parameter_is_known_with_its_range(rig: Rig) -> None:
    catalogue = Catalogue.load(rig.site.binaries, rig.home.root, rig.user)
    assert len(catalogue.parameters) > 300
    assert catalogue.parameters["max_connections"].static
    assert catalogue.parameters["max_connections"].allowed == "1-262143"
    assert catalogue.parameters["log_statement"].choices == ("none", "ddl", "mod", "all")
    began = time.monotonic()
    assert Catalogue.load(rig.site.binaries, rig.home.root, rig.user).parameters == catalogue.parameters
    assert time.monotonic() - began < 0.2


async def test_a_standby_whose_wal_is_gone_is_made_anew(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby, "REBUILD_SECONDS", 15.0)
    parameters = {"max_slot_wal_keep_size": "16MB", "min_wal_size": "32MB", "max_wal_size": "32MB"}
    async with running(rig, standby=True, parameters=parameters) as cluster:
        await cluster.wait_until_synchronous(60)
        hung = suspend(cluster)
        await until(lambda: not cluster.state.synchronous)
        assert Happening.STANDBY_LOST in rig.happened
        for _ in range(6):
            await execute(
                cluster, "SELECT pg_logical_emit_message(true, 'x', repeat('x', 100000))", "SELECT pg_switch_wal()"
            )
        await execute(cluster, "CHECKPOINT")
        for process in hung:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        await cluster.wait_until_synchronous(90)
        assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in hung)
        assert await execute(cluster, "SELECT wal_status FROM pg_replication_slots") in ("reserved", "extended")


async def test_the_fact_of_being_synchronous_is_taken_back_before_the_primary_goes_on_alone(rig: Rig) -> None:
    """Otherwise a daemon that dies in between would promote a standby that misses commits."""
    async with running(rig, standby=True) as cluster:
        await cluster.wait_until_synchronous(60)
        await execute(cluster, "CREATE TABLE public.t (n int)")
        hung = suspend(cluster)
        commit = asyncio.create_task(execute(cluster, "INSERT INTO public.t VALUES (1)"))
        await asyncio.sleep(1)
        assert not commit.done()
        assert cluster.state.synchronous
        await commit
        assert not cluster.state.synchronous
        assert rig.cluster(standby=True).state.synchronous is False
        for process in hung:
            process.resume()
        await cluster.wait_until_synchronous(60)


async def test_the_next_daemon_adopts_what_runs(rig: Rig) -> None:
    async with running(rig, standby=True) as cluster:
        await cluster.wait_until_synchronous(60)
        before = cluster.describe()
        await cluster.leave()
        rig.supervisor = Supervisor(rig.store, rig.home.root)
        object.__setattr__(rig.site, "supervisor", rig.supervisor)
        second = rig.cluster(standby=True)
        await second.start()
        try:
            assert second.describe() == before
            assert Happening.FAILOVER_STARTED not in rig.happened
        finally:
            await second.leave()


async def test_a_former_primary_never_comes_back_as_one(rig: Rig) -> None:
    async with running(rig, standby=True) as cluster:
        await cluster.wait_until_synchronous(60)
        await execute(cluster, "CREATE TABLE public.t AS SELECT 1 AS n")
        former = cluster.primary
        assert former.process is not None
        os.kill(former.process.pid, signal.SIGKILL)
        await until(lambda: cluster.primary is not former and rig.targets[-1] == (cluster.primary.address, 5432))
        await cluster.wait_until_synchronous(60)
        async with former.connect("postgres") as connection:
            cursor = await connection.execute("SELECT pg_is_in_recovery(), (SELECT n FROM public.t)")
            assert await cursor.fetchone() == (True, 1)
            # A slot of its time as primary would keep WAL for ever.
            cursor = await connection.execute("SELECT count(*) FROM pg_replication_slots")
            assert await cursor.fetchone() == (0,)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                await connection.execute("INSERT INTO public.t VALUES (2)")


async def test_a_cluster_without_a_synchronous_standby_does_not_fail_over(rig: Rig) -> None:
    async with running(rig) as cluster:
        with pytest.raises(PostgresError, match="not synchronous"):
            await cluster.fail_over(deadline=0.2)
        assert await execute(cluster, "SELECT 1") == 1


async def test_fewer_connections_reach_primary_and_standby(rig: Rig) -> None:
    """A standby refuses to start with less than the primary had; the restart minds the order."""
    async with running(rig, standby=True, parameters={"max_connections": "120"}) as cluster:
        await cluster.wait_until_synchronous(60)
        for wanted in ("60", "140"):
            await cluster.apply(Settings(standby=True, parameters={"max_connections": wanted}))
            await cluster.restart()
            assert await execute(cluster, "SHOW max_connections") == wanted
            await until(lambda: cluster.standby.process is not None)
            await cluster.standby.answer(30)
            await cluster.wait_until_synchronous(60)
            async with cluster.standby.connect("postgres") as connection:
                row = await (await connection.execute("SHOW max_connections")).fetchone()
            assert row == (wanted,)
