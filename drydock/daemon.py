"""Starting, asking and ending the dock's daemon."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx

from dock.home import Home
from drydock.errors import DrydockError
from drydock.shell import PROJECT

START_SECONDS = 120
# The cloud gives each of its services 20 s.
STOP_SECONDS = 180


def status(home: Home) -> dict[str, Any] | None:
    """The daemon's own status document, None when none answers."""
    return _ask(home, "GET", "/status")


def start(home: Home, progress: Callable[[str], None]) -> dict[str, Any]:
    """Start the daemon unless it runs, and wait until the cloud is up. Returns its status.

    Raises DrydockError with the daemon's own reason and the path of its log.
    """
    home.create()
    log = home.logs / "dock.log"
    current = status(home)
    child: subprocess.Popen[bytes] | None = None
    if current is None or current["state"] == "stopping":
        if current is not None:
            progress("waiting for the dock that is being stopped")
            _wait_until_gone(home)
        progress("starting the dock")
        with log.open("ab") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "dock"],
                cwd=PROJECT,
                env={**os.environ, "DRYDOCK_HOME": str(home.root)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        current = status(home)
        if current is not None and current["state"] == "running":
            return current
        if current is not None and current["state"] == "failed":
            raise DrydockError(f"the dock could not be started: {current['problem']}", f"less {log}")
        if child is not None and child.poll() not in (None, 3):
            raise DrydockError(
                f"the dock ended at its start: {_last_line(log.read_text(errors='replace'))}", f"less {log}"
            )
        time.sleep(0.1)
    raise DrydockError(f"the dock was not up within {START_SECONDS} s", f"less {log}")


def stop(home: Home) -> bool:
    """End the cloud in order and wait until it is gone. False when none ran."""
    if _ask(home, "POST", "/stop") is None:
        return False
    _wait_until_gone(home)
    return True


def _wait_until_gone(home: Home) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while status(home) is not None:
        if time.monotonic() > deadline:
            raise DrydockError(f"the dock is not down after {STOP_SECONDS} s", "drydock status")
        time.sleep(0.1)


class RefusedError(Exception):
    """The daemon understood, and says why it doesn't do it."""


def ask(home: Home, method: str, path: str, document: Any = None, timeout: float = 10) -> Any:
    """What the daemon's control socket answers; None when no daemon listens. Raises RefusedError with the daemon's
    reason, DrydockError when it doesn't answer within `timeout` seconds."""
    socket = str(home.run / "dock.sock")
    try:
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=socket, verify=False), timeout=timeout, trust_env=False
        ) as client:
            answer = client.request(method, f"http://dock{path}", json=document)
    except httpx.TimeoutException:
        raise DrydockError(f"the dock does not answer within {timeout:g} s", f"less {home.logs / 'dock.log'}") from None
    except (httpx.TransportError, OSError):
        return None
    if answer.status_code == 400:
        raise RefusedError(answer.json()["problem"])
    if answer.status_code == 503:
        raise DrydockError(answer.text, "drydock status")
    return answer.raise_for_status().json()


def _ask(home: Home, method: str, path: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = ask(home, method, path)
    return found


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
