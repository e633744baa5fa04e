"""Killing, stopping and waking an engine with all that it started."""

from __future__ import annotations

import contextlib
import signal
import time

import psutil

_KILL_SECONDS = 5.0


def kill(pid: int) -> None:
    """SIGKILL a process and everything below it, the parent first so that it restarts none of them. Returns when the
    parent has ended; waiting for it in the way of `waitpid` is its supervisor's."""
    _signal(pid, signal.SIGKILL)
    deadline = time.monotonic() + _KILL_SECONDS
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.005)


def freeze(pid: int) -> None:
    """SIGSTOP a process and everything below it, the parent first so that it can start no more of them."""
    if not is_stopped(pid):
        _signal(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """SIGCONT a process and everything below it, if it is stopped."""
    if is_stopped(pid):
        _signal(pid, signal.SIGCONT)


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
