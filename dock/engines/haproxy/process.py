"""One HAProxy: a master with its workers, started once, reloaded without losing a connection, watched."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import shutil
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from dock.engines.haproxy.runtime import Processes, Runtime
from dock.engines.supervisor import Spec, Supervisor

log = logging.getLogger(__name__)

START_SECONDS = 10.0
CHECK_SECONDS = 15.0
STOP_SECONDS = 10.0
# Sockets have short paths: the kernel takes 107 bytes, and HAProxy binds under a longer, temporary name first.
MAX_SOCKET_PATH = 90


class HAProxyError(RuntimeError):
    """HAProxy is missing, refuses its configuration, or doesn't run."""


class AddressTaken(HAProxyError):
    """Another program listens where HAProxy should."""

    def __init__(self, address: str, port: int, reason: str) -> None:
        super().__init__(f"can't listen on {address}:{port}: {reason}")
        self.address = address
        self.port = port


class HAProxy:
    """Runs HAProxy on the configuration file `folder/haproxy.cfg`, which callers render with `preamble` at its head.

    The process outlives the daemon; `run` adopts it or starts it. While `watch` runs, a HAProxy that ends is started
    again at once, from the file: callers keep the file as they last wanted it.
    """

    def __init__(self, name: str, folder: Path, run: Path, log_file: Path, supervisor: Supervisor) -> None:
        self.name = name
        self.folder = folder
        self._log_file = log_file
        self._supervisor = supervisor
        self._master_socket = run / f"{name.replace('/', '-')}.master"
        self._worker_socket = run / f"{name.replace('/', '-')}.worker"
        self._wanted = False
        self._restarting = asyncio.Lock()
        self.problem: str | None = None
        """Why it doesn't run, None while it does."""
        self.runtime = Runtime(self._master_socket, self._worker_socket)

    @property
    def configuration(self) -> Path:
        return self.folder / "haproxy.cfg"

    @property
    def control(self) -> Path:
        """The socket of the runtime API of the worker that is current."""
        return self._worker_socket

    @property
    def alive(self) -> bool:
        return self._supervisor.find(self.name) is not None

    @property
    def pid(self) -> int | None:
        """The master's process id."""
        process = self._supervisor.find(self.name)
        return process.pid if process else None

    def preamble(self, generation: str, owner: tuple[int, int] | None, maxconn: int, *more: str) -> str:
        """The `global` lines that every HAProxy of the dock has, and `more`. `Runtime.generation` tells `generation`.

        `owner` is the (uid, gid) that the workers run as; the master stays what it is, so that a reload can bind
        ports below 1024.
        """
        lines = [
            "global",
            f"    description {generation}",
            "    nbthread 2",
            f"    maxconn {affordable_connections(maxconn)}",
            f"    stats socket {self._worker_socket} mode 600 level admin",
            "    tune.ssl.cachesize 1000",
            *(f"    {line}" for line in more),
        ]
        if owner is not None:
            lines += [f"    uid {owner[0]}", f"    gid {owner[1]}"]
        return "\n".join(lines) + "\n"

    async def run(self, text: str, listeners: Iterable[tuple[str, int]] = ()) -> bool:
        """Make sure that HAProxy runs; adopt the one that an earlier daemon left, or start one with `text`.

        Returns whether it was adopted: then it may run another configuration than `text`. `listeners` and what is
        raised are as in `reload`.
        """
        async with self._restarting:
            self._wanted = True
            if self.alive:
                with contextlib.suppress(OSError):
                    await self.runtime.processes()
                    self.problem = None
                    return True
                # It runs but doesn't answer: replace it.
                await self._supervisor.stop(self.name, grace=2)
            for address, port in listeners:
                try_address(address, port)
            await self._check(text)
            self._install(text)
            await self._start()
            return False

    async def reload(self, text: str, listeners: Iterable[tuple[str, int]] = ()) -> None:
        """Replace the configuration. Connections go on; what ends in the old worker ends by itself.

        `listeners` are the addresses that are new: each is tried first, as HAProxy itself would pause every other
        listener for seconds before it gives up. Raises AddressTaken, or HAProxyError with HAProxy's own words;
        then everything is as before.
        """
        async with self._restarting:
            for address, port in listeners:
                try_address(address, port)
            await self._check(text)
            before = self.configuration.read_text() if self.configuration.exists() else None
            self._install(text)
            try:
                await self._replace()
                self._wanted = True
            except HAProxyError:
                if before is not None:
                    self._install(before)
                raise

    async def _replace(self) -> None:
        if self.alive:
            try:
                return await self._reload()
            except HAProxyError:
                # It was killed meanwhile, which says nothing against the configuration.
                if self.alive:
                    raise
        return await self._start()

    def write(self, text: str) -> None:
        """Keep a configuration for the next start, after the running HAProxy got the same through its runtime API."""
        self._install(text)

    async def stop(self) -> None:
        """End HAProxy and every connection through it."""
        async with self._restarting:
            self._wanted = False
            await self._supervisor.stop(self.name, signal.SIGTERM, STOP_SECONDS)
            self.problem = None

    async def ends_within(self, seconds: float) -> bool:
        """Whether the HAProxy that runs now ends by itself, as it does when its worker was killed."""
        process = self._supervisor.find(self.name)
        if process is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await process.wait()
        return process is None or not process.alive

    async def watch(self) -> None:
        """Start HAProxy again whenever it ends without having been `stop`ped, until cancelled."""
        delay = 0.0
        while True:
            process = self._supervisor.find(self.name)
            began = time.monotonic()
            if process is not None:
                await process.wait()
            if not self._wanted:
                await asyncio.sleep(0.1)
                continue
            # One that lived for a while is replaced at once; one that dies at each start is tried ever more rarely.
            lived = time.monotonic() - began if process is not None else 0.0
            delay = 0.0 if lived > 2 else min(5.0, delay * 2 or 0.1)
            await asyncio.sleep(delay)
            async with self._restarting:
                await self._restart()

    async def _restart(self) -> None:
        if not self._wanted or self.alive:
            return
        log.warning("%s ended; starting it again", self.name)
        try:
            await self._start()
        except (HAProxyError, OSError) as problem:
            log.error("%s could not be started again: %s", self.name, problem)

    async def _start(self) -> None:
        if max(len(str(path)) for path in (self._master_socket, self._worker_socket)) > MAX_SOCKET_PATH:
            raise HAProxyError(
                f"the path {self._master_socket} is too long for a socket: set DRYDOCK_HOME to a shorter one"
            )
        position = self._log_file.stat().st_size if self._log_file.exists() else 0
        try:
            process = self._supervisor.start(
                Spec(
                    name=self.name,
                    argv=[
                        str(binary()),
                        "-W",
                        "-S",
                        f"{self._master_socket},mode,600",
                        "-f",
                        str(self.configuration),
                    ],
                    log=self._log_file,
                    cwd=self.folder,
                )
            )
            await self._answers(process.wait())
        except (HAProxyError, OSError, TimeoutError) as problem:
            said = _alerts(self._log_file, position)
            await self._supervisor.stop(self.name, signal.SIGKILL, 2)
            self.problem = said or str(problem) or "it doesn't answer"
            raise HAProxyError(f"{self.name} did not start: {self.problem} (its log: {self._log_file})") from problem
        self.problem = None

    async def _answers(self, ended: object) -> None:
        """Wait for the first worker, or for the process's end, whichever comes first."""
        end = asyncio.ensure_future(ended)  # type: ignore[call-overload]
        try:
            async with asyncio.timeout(START_SECONDS):
                while not end.done():
                    with contextlib.suppress(OSError):
                        if (await self.runtime.processes()).current is not None:
                            await self.runtime.generation()
                            return
                    await asyncio.sleep(0.02)
            raise HAProxyError("it ended at once")
        finally:
            end.cancel()

    async def _reload(self) -> None:
        position = self._log_file.stat().st_size if self._log_file.exists() else 0
        before = await self._processes()
        process = self._supervisor.find(self.name)
        if process is None:
            return await self._start()
        process.send(signal.SIGUSR2)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                while process.alive:
                    await asyncio.sleep(0.02)
                    with contextlib.suppress(OSError):
                        now = await self.runtime.processes()
                        if now.failed_reloads > before.failed_reloads:
                            break
                        if now.current is not None and now.current not in {worker.pid for worker in before.workers}:
                            await self.runtime.generation()
                            return None
        raise HAProxyError(
            f"{self.name} kept its old configuration: {_alerts(self._log_file, position) or 'no answer'}"
        )

    async def _processes(self) -> Processes:
        try:
            return await self.runtime.processes()
        except OSError as problem:
            raise HAProxyError(f"{self.name} does not answer on its socket: {problem!r}") from problem

    async def _check(self, text: str) -> None:
        """Let HAProxy judge a configuration before it becomes the one that is used."""
        self.folder.mkdir(parents=True, exist_ok=True)
        candidate = self.folder / "haproxy.cfg.new"
        write_text(candidate, text)
        process = await asyncio.create_subprocess_exec(
            str(binary()), "-c", "-q", "-f", str(candidate),
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise HAProxyError(f"haproxy -c did not end within {CHECK_SECONDS:.0f} s") from None
        if process.returncode != 0:
            said = " ".join(_alert_lines(output.decode(errors="replace").splitlines()))
            raise HAProxyError(f"HAProxy refuses the configuration of {self.name}: {said or process.returncode}")
        candidate.unlink(missing_ok=True)

    def _install(self, text: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.configuration, text)


def binary() -> Path:
    """`DRYDOCK_HAPROXY`, else `haproxy` on PATH, else the package's place. Raises HAProxyError when there is none."""
    named = os.environ.get("DRYDOCK_HAPROXY")
    found = named or shutil.which("haproxy") or "/usr/sbin/haproxy"
    if not os.access(found, os.X_OK):
        hint = "DRYDOCK_HAPROXY names no program" if named else "install the package haproxy (apt install haproxy)"
        raise HAProxyError(f"no HAProxy at {found}: {hint}")
    return Path(found)


def affordable_connections(wanted: int) -> int:
    """`wanted`, or what the limit on open files leaves: two for each connection, and some for listeners and checks."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if hard == resource.RLIM_INFINITY else max(64, min(wanted, (hard - 300) // 2))


def try_address(address: str, port: int) -> None:
    """Raise AddressTaken when somebody listens there, or when we may not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError as problem:
            raise AddressTaken(
                address, port, "ports below 1024 need root, or net.ipv4.ip_unprivileged_port_start lowered"
            ) from problem
        except OSError as problem:
            raise AddressTaken(address, port, problem.strerror or str(problem)) from problem


def write_text(path: Path, text: str) -> None:
    """Replace a file, whole or not at all; only its owner reads it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text)
        temporary.chmod(0o600)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _alerts(path: Path, position: int) -> str:
    """What HAProxy complained about in its log since this position, in one line."""
    try:
        with path.open("rb") as file:
            file.seek(position)
            return " ".join(_alert_lines(file.read(20_000).decode(errors="replace").splitlines()))
    except OSError:
        return ""


def _alert_lines(lines: list[str]) -> list[str]:
    return [line.partition(" : ")[2].strip() for line in lines if line.startswith("[ALERT]")][:3]
