"""`pulumirpc.LanguageRuntime` for Python: which plugins a program needs, and the process that runs it."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NoReturn

import grpc  # type: ignore[import-untyped]
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

from tools.language_host.debug import command_line, wants_debug
from tools.language_host.packages import Plugin, normalized, plugins, search_path
from tools.language_host.protocol import language, language_grpc, plugin
from tools.language_host.toolchain import TYPECHECKERS, Toolchain, ToolchainError

PROGRAM = Path(__file__).with_name("program.py")
# What a program's process exits with when it has already told the person what is wrong.
ALREADY_SHOWN = 32
INSTALL_TIMEOUT = 1800.0


class LanguageHost(language_grpc.LanguageRuntimeServicer):  # type: ignore[misc]
    """Serves one engine. `engine` is its address, to which a program logs."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.engine = request.engine_address or self.engine
        return language.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin.PluginInfo(version=installed_version("pulumi"))

    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language.GetRequiredPackagesResponse(
            packages=[
                plugin.PackageDependency(
                    name=needed.name,
                    kind="resource",
                    version=needed.version,
                    server=needed.server,
                    parameterization=_parameterization(needed.parameterization),
                )
                for needed in self._plugins(request.info, context)
            ]
        )

    def GetRequiredPlugins(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language.GetRequiredPluginsResponse(
            plugins=[
                plugin.PluginDependency(name=needed.name, kind="resource", version=needed.version, server=needed.server)
                for needed in self._plugins(request.info, context)
            ]
        )

    def GetProgramDependencies(self, request: Any, context: grpc.ServicerContext) -> Any:
        toolchain = _toolchain(request.info, context)
        arguments = ["-m", "pip", "list", "--format", "json"]
        with _told(context):
            listed = toolchain.ask(*arguments, *([] if request.transitiveDependencies else ["--not-required"]))
        return language.GetProgramDependenciesResponse(
            dependencies=[
                language.DependencyInfo(name=normalized(package["name"]), version=package["version"])
                for package in json.loads(listed)
            ]
        )

    def InstallDependencies(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        toolchain = _toolchain(request.info, context)
        with _told(context):
            commands = toolchain.installation()
        for command in commands:
            yield language.InstallDependenciesResponse(stdout=f"{' '.join(command)}\n".encode())
            code = yield from self._stream(
                command, str(toolchain.program), dict(os.environ), language.InstallDependenciesResponse, INSTALL_TIMEOUT
            )
            if code:
                context.abort(grpc.StatusCode.UNKNOWN, f"`{' '.join(command)}` exited with {code}")
        yield language.InstallDependenciesResponse(stdout=b"Finished installing dependencies\n")

    def RuntimeOptionsPrompts(self, request: Any, context: grpc.ServicerContext) -> Any:
        if "toolchain" in MessageToDict(request.info.options):
            return language.RuntimeOptionsResponse()
        text = language.RuntimeOptionPrompt.STRING
        choice = language.RuntimeOptionPrompt.RuntimeOptionValue
        return language.RuntimeOptionsResponse(
            prompts=[
                language.RuntimeOptionPrompt(
                    key="toolchain",
                    description="The toolchain to use for installing dependencies and running the program",
                    promptType=text,
                    choices=[
                        choice(promptType=text, stringValue=name, displayName=name) for name in ("pip", "poetry", "uv")
                    ],
                    default=choice(promptType=text, stringValue="pip", displayName="pip"),
                )
            ]
        )

    def About(self, request: Any, context: grpc.ServicerContext) -> Any:
        toolchain = _toolchain(request.info, context)
        with _told(context):
            return language.AboutResponse(
                executable=toolchain.python,
                version=toolchain.version(),
                metadata={"toolchain": toolchain.name, "typechecker": toolchain.typechecker or "none"},
            )

    def Run(self, request: Any, context: grpc.ServicerContext) -> Any:
        toolchain = _toolchain(request.info, context)
        if toolchain.typechecker in TYPECHECKERS and (failure := self._type_errors(toolchain)):
            return language.RunResponse(error=failure)
        with _told(context):
            command = [toolchain.python, "-u", str(PROGRAM)]
        # By a pipe, not by the command line or the environment: the configuration holds decrypted secrets.
        settings = json.dumps(
            {
                "monitor": request.monitor_address,
                "engine": self.engine,
                "project": request.project,
                "stack": request.stack,
                "organization": request.organization,
                "parallel": request.parallel,
                "dry_run": request.dryRun,
                "debug": wants_debug(command_line(os.getppid())),
                "root_directory": request.info.root_directory,
                "folder": request.pwd,
                "program": _entry_point(request),
                "arguments": list(request.args),
                "config": dict(request.config),
                "secret_keys": list(request.configSecretKeys),
            }
        )
        process = self._start(command, request.pwd or None, toolchain.process_environment(), stdin=subprocess.PIPE)
        try:
            process.communicate(settings.encode())
        finally:
            self._ended(process)
        sys.stdout.flush()
        if process.returncode == ALREADY_SHOWN:
            return language.RunResponse(bail=True)
        if process.returncode < 0:
            return language.RunResponse(error=f"Program was ended by {signal.Signals(-process.returncode).name}")
        if process.returncode:
            return language.RunResponse(error=f"Program exited with non-zero exit code: {process.returncode}")
        return language.RunResponse()

    def RunPlugin(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """A plugin that is written in Python: a folder with `__main__.py`, or a package that the SDK serves."""
        toolchain = _toolchain(request.info, context)
        folder = Path(request.info.program_directory or request.program)
        what = (
            [str(folder)]
            if (folder / "__main__.py").is_file()
            else ["-m", "pulumi.run.plugin", request.name or folder.name]
        )
        with _told(context):
            command = [toolchain.python, "-u", *what, *request.args]
        environment = toolchain.process_environment()
        environment.update(entry.split("=", 1) for entry in request.env if "=" in entry)
        code = yield from self._stream(command, request.pwd or None, environment, language.RunPluginResponse, None)
        yield language.RunPluginResponse(exitcode=code)

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._interrupt(signal.SIGINT)
        return Empty()

    def Template(self, request: Any, context: grpc.ServicerContext) -> Any:
        # A Python template needs nothing done to it.
        return language.TemplateResponse()

    def GenerateProgram(self, request: Any, context: grpc.ServicerContext) -> Any:
        _not_here(context, "convert a program to Python")

    def GenerateProject(self, request: Any, context: grpc.ServicerContext) -> Any:
        _not_here(context, "convert a project to Python")

    def GeneratePackage(self, request: Any, context: grpc.ServicerContext) -> Any:
        _not_here(context, "generate a Python SDK")

    def Pack(self, request: Any, context: grpc.ServicerContext) -> Any:
        _not_here(context, "pack a Python SDK")

    def Link(self, request: Any, context: grpc.ServicerContext) -> Any:
        _not_here(context, "link a generated SDK into a program")

    def stop(self) -> None:
        """End what still runs. It has had the engine's interrupt already, being of the same process group."""
        self._interrupt(signal.SIGTERM)

    def _interrupt(self, how: signal.Signals) -> None:
        with self._lock:
            for process in self._running:
                if process.poll() is None:
                    process.send_signal(how)

    def _plugins(self, info: Any, context: grpc.ServicerContext) -> list[Plugin]:
        toolchain = _toolchain(info, context)
        with _told(context):
            return plugins(search_path(toolchain))

    def _type_errors(self, toolchain: Toolchain) -> str:
        done = subprocess.run(
            [toolchain.python, "-m", str(toolchain.typechecker), str(toolchain.program)],
            cwd=toolchain.root,
            env=toolchain.process_environment(),
            timeout=INSTALL_TIMEOUT,
        )
        return f"{toolchain.typechecker} failed: fix the type errors above" if done.returncode else ""

    def _start(self, command: list[str], folder: str | None, environment: Mapping[str, str], **pipes: Any) -> Any:
        process = subprocess.Popen(command, cwd=folder, env=environment, **pipes)
        with self._lock:
            self._running.add(process)
        return process

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.discard(process)

    def _stream(
        self,
        command: list[str],
        folder: str | None,
        environment: Mapping[str, str],
        response: Any,
        timeout: float | None,
    ) -> Generator[Any, None, int]:
        """Yields a response for each piece of output; its value is the exit code."""
        process = self._start(
            command, folder, environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        pieces: SimpleQueue[tuple[str, bytes]] = SimpleQueue()

        def read(name: str, pipe: Any) -> None:
            while piece := pipe.read1(65536):
                pieces.put((name, piece))
            pieces.put((name, b""))

        for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            threading.Thread(target=read, args=(name, pipe), daemon=True).start()
        clock = threading.Timer(timeout, process.kill) if timeout else None
        try:
            if clock:
                clock.start()
            open_pipes = 2
            while open_pipes:
                name, piece = pieces.get()
                if piece:
                    yield response(**{name: piece})
                else:
                    open_pipes -= 1
            code: int = process.wait()
            return code
        finally:
            if clock:
                clock.cancel()
            # The engine has gone away from this call when it isn't the process that ended.
            if process.poll() is None:
                process.terminate()
            self._ended(process)


def _toolchain(info: Any, context: grpc.ServicerContext) -> Toolchain:
    try:
        return Toolchain.of(info.root_directory, info.program_directory, MessageToDict(info.options))
    except ToolchainError as error:
        refuse(context, grpc.StatusCode.FAILED_PRECONDITION, str(error))


def _entry_point(request: Any) -> str:
    named = request.info.entry_point or request.program or "."
    return str(Path(request.info.program_directory or request.pwd or ".") / named)


def _parameterization(facts: dict[str, str] | None) -> Any:
    if not facts:
        return None
    value = base64.b64decode(facts.get("value", ""))
    return plugin.PackageParameterization(name=facts["name"], version=facts["version"], value=value)


@contextmanager
def _told(context: grpc.ServicerContext) -> Iterator[None]:
    """What is wrong with the options is an answer to the engine, not a failure of the host."""
    try:
        yield
    except ToolchainError as error:
        refuse(context, grpc.StatusCode.FAILED_PRECONDITION, str(error))


def refuse(context: grpc.ServicerContext, code: grpc.StatusCode, reason: str) -> NoReturn:
    context.abort(code, reason)
    raise AssertionError("unreachable: abort raises")


def _not_here(context: grpc.ServicerContext, what: str) -> NoReturn:
    refuse(
        context,
        grpc.StatusCode.UNIMPLEMENTED,
        f"this language host runs Python programs; to {what} use the pulumi-language-python of Pulumi's own installer",
    )
