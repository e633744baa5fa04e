"""Whether anybody sees what the SDK says for debugging."""

from __future__ import annotations

from pathlib import Path


def command_line(process: int) -> list[str]:
    """The engine's own, by which this host was started; empty where the system doesn't tell."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def wants_debug(command_line: list[str]) -> bool:
    """Whether somebody will see debug messages. The SDK sends several for each resource, a fifth of a program's time,
    and the engine throws them away unless it was asked for them."""
    if not command_line:
        return True
    asked = ("--debug", "--verbose", "--logtostderr", "--tracing")
    short = [each for each in command_line[1:] if each.startswith("-") and not each.startswith("--")]
    return any(each.split("=")[0] in asked for each in command_line) or any({"d", "v"} & set(each) for each in short)
