"""The language host without an engine: its answers over gRPC, and how it starts and ends."""

from __future__ import annotations

import json
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct

from dock.providers.protocol import stubs

language, language_grpc = stubs("language_pb2"), stubs("language_pb2_grpc")
HOST = Path(__file__).parents[2] / "tools" / "language_host" / "pulumi-language-python"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([str(HOST), "127.0.0.1:9"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    yield started
    started.kill()
    started.communicate(timeout=10)


@pytest.fixture
def host(process: subprocess.Popen[bytes]) -> Iterator[Any]:
    assert process.stdout is not None
    channel = grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}")
    yield language_grpc.LanguageRuntimeStub(channel)
    channel.close()


def info(folder: Path, **options: str) -> Any:
    settings = Struct()
    settings.update(options)
    return language.ProgramInfo(
        root_directory=str(folder), program_directory=str(folder), entry_point=".", options=settings
    )


def test_it_answers_the_handshake_and_has_the_sdks_version(host: Any) -> None:
    host.Handshake(language.LanguageHandshakeRequest(engine_address="127.0.0.1:9"), timeout=10)
    assert host.GetPluginInfo(Empty(), timeout=10).version == version("pulumi")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly_when_the_engine_interrupts_it(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(how)
    rest, errors = process.communicate(timeout=10)
    assert (process.returncode, rest, errors) == (0, b"", b"")


def test_it_names_the_plugins_that_the_environments_packages_need(host: Any, tmp_path: Path) -> None:
    request = language.GetRequiredPackagesRequest(info=info(tmp_path, virtualenv=sys.prefix))
    packages = host.GetRequiredPackages(request, timeout=30).packages
    assert [(each.name, each.kind, each.version) for each in packages] == [
        ("aws", "resource", f"v{version('pulumi-aws')}"),
        ("cloudflare", "resource", f"v{version('pulumi-cloudflare')}"),
    ]
    request = language.GetRequiredPluginsRequest(info=info(tmp_path, virtualenv=sys.prefix))
    assert [each.name for each in host.GetRequiredPlugins(request, timeout=30).plugins] == ["aws", "cloudflare"]


def test_it_finds_packages_in_another_environment(host: Any, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True, timeout=60)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "pulumi_thing").mkdir()
    (site / "pulumi_thing" / "pulumi-plugin.json").write_text(
        json.dumps({"resource": True, "name": "thing", "version": "1.2.3"})
    )
    (site / "pulumi_quiet").mkdir()
    (site / "pulumi_quiet" / "pulumi-plugin.json").write_text(json.dumps({"resource": False}))
    (site / "pulumi_old-4.5.6.dist-info").mkdir()
    (site / "pulumi_alpha-1.0.0a1.dist-info").mkdir()
    request = language.GetRequiredPackagesRequest(info=info(tmp_path, virtualenv="venv"))
    packages = host.GetRequiredPackages(request, timeout=30).packages
    assert [(each.name, each.version) for each in packages] == [("thing", "v1.2.3"), ("old", "v4.5.6")]


def test_about_is_the_environments_interpreter(host: Any, tmp_path: Path) -> None:
    about = host.About(language.AboutRequest(info=info(tmp_path, virtualenv=sys.prefix)), timeout=30)
    assert about.executable == str(Path(sys.prefix) / "bin" / "python")
    assert about.version == ".".join(map(str, sys.version_info[:3]))


def test_a_programs_dependencies_are_listed(host: Any, tmp_path: Path) -> None:
    request = language.GetProgramDependenciesRequest(
        info=info(tmp_path, virtualenv=sys.prefix), transitiveDependencies=True
    )
    found = {each.name: each.version for each in host.GetProgramDependencies(request, timeout=60).dependencies}
    assert found["pulumi-aws"] == version("pulumi-aws")


def test_the_toolchain_is_prompted_for_when_a_project_has_none(host: Any, tmp_path: Path) -> None:
    prompts = host.RuntimeOptionsPrompts(language.RuntimeOptionsRequest(info=info(tmp_path)), timeout=10).prompts
    assert [prompt.key for prompt in prompts] == ["toolchain"]
    chosen = language.RuntimeOptionsRequest(info=info(tmp_path, toolchain="uv"))
    assert not host.RuntimeOptionsPrompts(chosen, timeout=10).prompts


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"toolchain": "conda"}, "must be one of pip, poetry, uv"),
        ({"typechecker": "pyre"}, "must be one of mypy, pyright"),
        ({"virtualenv": "nowhere"}, "does not exist: create it"),
    ],
)
def test_an_option_that_can_not_be_honoured_is_an_answer(
    host: Any, tmp_path: Path, options: dict[str, str], reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        host.About(language.AboutRequest(info=info(tmp_path, **options)), timeout=10)
    assert reason in failure.value.details()
    assert failure.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_a_folder_that_is_no_virtual_environment_is_said_to_be_none(host: Any, tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    with pytest.raises(grpc.RpcError, match="is not a virtual environment"):
        host.About(language.AboutRequest(info=info(tmp_path, virtualenv="venv")), timeout=10)


def test_installing_makes_the_environment_and_shows_what_it_does(host: Any, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    request = language.InstallDependenciesRequest(info=info(tmp_path, virtualenv="venv"))
    said = b"".join(piece.stdout for piece in host.InstallDependencies(request, timeout=100))
    assert (tmp_path / "venv" / "bin" / "python").exists()
    assert b"-m pip install -r" in said
    assert said.endswith(b"Finished installing dependencies\n")


def test_an_installation_that_fails_says_which_command_did(host: Any, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("./not-there\n")
    request = language.InstallDependenciesRequest(info=info(tmp_path, virtualenv=sys.prefix))
    with pytest.raises(grpc.RpcError, match=r"pip install -r .* exited with 1"):
        list(host.InstallDependencies(request, timeout=60))


def test_a_plugin_in_python_is_run_and_its_output_and_exit_code_come_back(host: Any, tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text(
        "import os, sys\nprint(os.environ['WORD'], sys.argv[1:])\nprint('oh', file=sys.stderr)\nsys.exit(7)\n"
    )
    request = language.RunPluginRequest(
        pwd=str(tmp_path), info=info(tmp_path, virtualenv=sys.prefix), args=["a"], env=["WORD=hello"]
    )
    pieces = list(host.RunPlugin(request, timeout=30))
    assert b"".join(piece.stdout for piece in pieces) == b"hello ['a']\n"
    assert b"".join(piece.stderr for piece in pieces) == b"oh\n"
    assert pieces[-1].exitcode == 7


@pytest.mark.parametrize("method", ["GenerateProgram", "GenerateProject", "GeneratePackage", "Pack", "Link"])
def test_what_it_can_not_do_is_said_with_what_can(host: Any, method: str) -> None:
    request = {"Pack": "PackRequest", "Link": "LinkRequest"}.get(method, f"{method}Request")
    with pytest.raises(grpc.RpcError) as failure:
        getattr(host, method)(getattr(language, request)(), timeout=10)
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "Pulumi's own installer" in failure.value.details()


@pytest.mark.parametrize(
    ("command_line", "wanted"),
    [
        (["pulumi", "preview", "--stack", "local"], False),
        (["pulumi", "up", "--yes", "--skip-preview", "-s", "local"], False),
        (["pulumi", "up", "--debug"], True),
        (["pulumi", "up", "-yd"], True),
        (["pulumi", "preview", "--logtostderr", "-v=9"], True),
        # Nobody can tell: rather too much than too little.
        ([], True),
    ],
)
def test_debug_messages_are_sent_when_somebody_asked_the_engine_for_them(command_line: list[str], wanted: bool) -> None:
    debug = runpy.run_path(str(HOST.with_name("debug.py")))
    assert debug["wants_debug"](command_line) is wanted
