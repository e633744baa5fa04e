"""One Redis process: its files, its start and end, and what the dock asks of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from dock.certificates import CertificateAuthority, write_private
from dock.engines.redis.configuration import INTERNAL_USER, Configuration, access_list, configuration_file
from dock.engines.redis.server import Server
from dock.engines.supervisor import Process, Spec, Supervisor

ANSWER_SECONDS = 2.0
START_SECONDS = 60.0
SAVE_SECONDS = 300.0
STOP_SECONDS = 30.0
_SNAPSHOT = "dump.rdb"
_POLL_SECONDS = 0.02


class NodeError(RuntimeError):
    """A node did not do what it was asked to; the message says which and why."""


@dataclass(frozen=True, slots=True)
class State:
    """What a node says of itself. `offset` counts the bytes of its replication history, which `history` names."""

    is_primary: bool
    follows: tuple[str, int] | None
    in_sync: bool
    loading: bool
    syncing: bool
    history: str
    offset: int
    used_memory: int
    can_save: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node lives. `name` is its process's name, `certified` the addresses that its certificate names."""

    name: str
    address: str
    port: int
    tls: bool
    folder: Path
    log: Path
    certified: tuple[str, ...]


class Node:
    """A Redis server at an address of its own. Its process outlives this object, and the daemon."""

    def __init__(
        self,
        place: Place,
        server: Server,
        supervisor: Supervisor,
        authority: CertificateAuthority,
        internal_password: str,
        user: tuple[int, int] | None,
    ) -> None:
        self.place = place
        self.server = server
        self.state: State | None = None
        self.information: Mapping[str, Any] = {}
        """What INFO answered last; empty while it doesn't answer."""
        self.answered = time.monotonic()
        self.applied: Configuration | None = None
        self._supervisor = supervisor
        self._authority = authority
        self._password = internal_password
        self._user = user
        self._client: Redis | None = None
        self._static: dict[str, str] | None = None
        self._log_began = 0

    @property
    def target(self) -> tuple[str, int]:
        return (self.place.address, self.place.port)

    @property
    def process(self) -> Process | None:
        return self._supervisor.find(self.place.name)

    @property
    def snapshot(self) -> Path:
        """The file that Redis saves to and loads at its start."""
        return self.place.folder / _SNAPSHOT

    @property
    def needs_restart(self) -> bool:
        """Whether it runs with another value of a directive that only a restart changes."""
        return self._static is not None and self.applied is not None and self._static != self.applied.static

    def start(self, configuration: Configuration, primary: tuple[str, int] | None) -> Process:
        """Write the node's files and start it; it answers some time later (`ready`). OSError when it can't be done."""
        self._write_files(configuration, primary)
        for leftover in self.place.folder.glob("temp-*.rdb"):
            leftover.unlink(missing_ok=True)
        self._log_began = self.place.log.stat().st_size if self.place.log.exists() else 0
        process = self._supervisor.start(
            Spec(
                name=self.place.name,
                argv=[str(self.server.path), str(self.place.folder / "redis.conf")],
                log=self.place.log,
                cwd=self.place.folder,
                user=self._user,
            )
        )
        self.applied, self._static, self.state = configuration, configuration.static, None
        self.answered = time.monotonic()
        return process

    async def ready(self, timeout: float = START_SECONDS) -> State:
        """Wait until it answers and has loaded its data. NodeError when it ends instead, or takes too long."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process is None:
                raise NodeError(f"{self.place.name} ended at its start: {self.last_words()}")
            state = await self.probe()
            if state is not None and not state.loading:
                return state
            await asyncio.sleep(_POLL_SECONDS)
        raise NodeError(f"{self.place.name} did not answer within {timeout:.0f} s; see {self.place.log}")

    async def probe(self) -> State | None:
        """Ask for the node's state, and keep it in `state`; None when it doesn't answer."""
        try:
            information = await self._ask("INFO", timeout=ANSWER_SECONDS)
        except ResponseError:
            # It is busy with a script: alive, but not to be asked.
            self.answered = time.monotonic()
            return None
        except (RedisError, OSError, TimeoutError) as problem:
            if "max number of clients" in str(problem):
                self.answered = time.monotonic()
            else:
                self.state, self.information = None, {}
            return None
        self.answered = time.monotonic()
        self.state, self.information = _state(information), information
        return self.state

    async def promote(self) -> None:
        """Make it a primary of its own."""
        await self._ask("REPLICAOF", "NO", "ONE")

    async def follow(self, primary: tuple[str, int]) -> None:
        """Make it a replica."""
        await self._ask("REPLICAOF", primary[0], str(primary[1]))

    async def hand_over(self, successor: Node, timeout: float) -> None:
        """Give the primary's role to a replica without losing a write; NodeError when that isn't done in time."""
        address, port = successor.target
        milliseconds = str(int(timeout * 1000))
        await self._ask("FAILOVER", "TO", address, str(port), "TIMEOUT", milliseconds)
        deadline = time.monotonic() + timeout + 1
        while time.monotonic() < deadline:
            mine, theirs = await self.probe(), await successor.probe()
            if mine is not None and not mine.is_primary and theirs is not None and theirs.is_primary:
                return
            await asyncio.sleep(_POLL_SECONDS)
        raise NodeError(f"{self.place.name} did not hand over to {successor.place.name} within {timeout:.0f} s")

    async def configure(self, configuration: Configuration, primary: tuple[str, int] | None) -> None:
        """Apply what can change while it runs; the rest is in its files for the next start. NodeError when refused."""
        self._write_files(configuration, primary)
        try:
            if self._static is None:
                running = await self._ask("CONFIG GET", *(configuration.static or ["databases"]))
                self._static = {name: running[name] for name in configuration.static}
            await self._ask("CONFIG SET", *(part for pair in configuration.live.items() for part in pair))
            await self._ask("ACL SETUSER", "default", "resetpass", *configuration.default_user_rules)
        except (RedisError, OSError, TimeoutError) as problem:
            raise NodeError(f"{self.place.name} did not take its configuration: {problem}") from problem
        self.applied = configuration

    async def save(self, into: Path, timeout: float = SAVE_SECONDS) -> int:
        """Save the data as they are now and copy them to `into`, whole or not at all. Returns the size in bytes."""
        try:
            async with asyncio.timeout(timeout):
                await self._save()
            return await asyncio.to_thread(self._copy, into)
        except TimeoutError as problem:
            raise NodeError(f"{self.place.name} did not save its data within {timeout:.0f} s") from problem
        except (RedisError, OSError) as problem:
            raise NodeError(f"{self.place.name} could not save its data: {problem}") from problem

    async def _save(self) -> None:
        before = await self._ask("INFO", "persistence")
        while before["rdb_bgsave_in_progress"]:
            # That one began earlier: its data are not those of now.
            await asyncio.sleep(_POLL_SECONDS)
            before = await self._ask("INFO", "persistence")
        await self._ask("BGSAVE", "SCHEDULE")
        while True:
            now = await self._ask("INFO", "persistence")
            if now["rdb_saves"] > before["rdb_saves"] and not now["rdb_bgsave_in_progress"]:
                break
            await asyncio.sleep(_POLL_SECONDS)
        if now["rdb_last_bgsave_status"] != "ok":
            raise NodeError(f"{self.place.name} could not save its data: {self.last_words()}")

    async def stop(self) -> bool:
        """Save and end, as a planned stop does. Returns whether the data were saved."""
        await self._disconnect()
        if self.process is None:
            return True
        before = self._saved_at()
        await self._supervisor.stop(self.place.name, signal.SIGTERM, STOP_SECONDS)
        self.state = None
        return self._saved_at() != before

    async def kill(self) -> None:
        """End it at once; what it had not saved is gone."""
        process = self.process
        await self._disconnect()
        if process is not None:
            process.kill_group()
            async with asyncio.timeout(10):
                await process.wait()
        await self._supervisor.stop(self.place.name)
        self.state = None

    def forget(self) -> None:
        """Remove its data, so that it starts empty. Only when it doesn't run."""
        self.snapshot.unlink(missing_ok=True)

    def seed(self, data: Path) -> None:
        """Let it start with these data. Only when it doesn't run."""
        self._make_folder()
        temporary = self.snapshot.with_suffix(".seed")
        shutil.copyfile(data, temporary)
        self._own(temporary)
        temporary.replace(self.snapshot)

    def last_words(self) -> str:
        """Why the last start or save failed, from the node's log."""
        try:
            with self.place.log.open("rb") as log:
                log.seek(max(self._log_began, self.place.log.stat().st_size - 16384))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError as problem:
            return str(problem)
        warnings = [line.partition("# ")[2] for line in lines if " # " in line or line.startswith("# ")]
        telling = [
            line for line in warnings if not line.startswith(("WARNING", "oO0", "Configuration", "Redis version"))
        ]
        plain = [line.strip() for line in lines if line.strip()]
        return "; ".join((telling or plain)[-3:]) or f"its log {self.place.log} says nothing"

    async def _ask(self, *command: str, timeout: float = 10.0) -> Any:
        if self._client is None:
            secure: dict[str, Any] = {}
            if self.place.tls:
                secure = {"ssl": True, "ssl_ca_certs": str(self._authority.path)}
            self._client = Redis(
                host=self.place.address,
                port=self.place.port,
                username=INTERNAL_USER,
                password=self._password,
                decode_responses=True,
                socket_timeout=None,
                socket_connect_timeout=ANSWER_SECONDS,
                max_connections=4,
                retry=Retry(NoBackoff(), 0),
                client_name="drydock",
                protocol=2,
                **secure,
            )
        async with asyncio.timeout(timeout):
            return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()

    def _write_files(self, configuration: Configuration, primary: tuple[str, int] | None) -> None:
        folder = self._make_folder()
        if self.place.tls:
            self._authority.issue(folder, self.place.address, list(self.place.certified), owner=self._user)
        text = configuration_file(
            configuration,
            address=self.place.address,
            port=self.place.port,
            tls=self.place.tls,
            folder=folder,
            authority=self._authority.path,
            internal_password=self._password,
            primary=primary,
        )
        for name, content in (("redis.conf", text), ("users.acl", access_list(configuration, self._password))):
            write_private(folder / name, content.encode())
            self._own(folder / name)

    def _make_folder(self) -> Path:
        folder = self.place.folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._own(folder)
        return folder

    def _own(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, *self._user)

    def _saved_at(self) -> tuple[int, int]:
        try:
            status = self.snapshot.stat()
        except OSError:
            return (0, 0)
        return (status.st_ino, status.st_mtime_ns)

    def _copy(self, into: Path) -> int:
        into.parent.mkdir(parents=True, exist_ok=True)
        temporary = into.with_suffix(".part")
        try:
            # The open file stays the same one when Redis replaces it by a newer.
            with self.snapshot.open("rb") as source, temporary.open("wb") as target:
                os.fchmod(target.fileno(), 0o600)
                shutil.copyfileobj(source, target)
                target.flush()
                os.fsync(target.fileno())
                size = target.tell()
            temporary.replace(into)
        finally:
            temporary.unlink(missing_ok=True)
        return size


def _state(information: dict[str, Any]) -> State:
    is_primary = information["role"] == "master"
    offset = information["master_repl_offset"] if is_primary else information["slave_repl_offset"]
    return State(
        is_primary=is_primary,
        follows=None if is_primary else (str(information["master_host"]), int(information["master_port"])),
        in_sync=is_primary or information["master_link_status"] == "up",
        loading=bool(information["loading"]) or bool(information.get("async_loading")),
        syncing=not is_primary and bool(information["master_sync_in_progress"]),
        history=str(information["master_replid"]),
        offset=int(offset),
        used_memory=int(information["used_memory"]),
        can_save=information["rdb_last_bgsave_status"] == "ok",
    )
