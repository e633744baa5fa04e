"""The store of runs of a dock's account, made beside the environment the first time that one is brought up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dock.home import Home
from drydock.errors import DrydockError
from drydock.shell import PROJECT, attach
from operations import control
from operations.parameter_store import Unread

MAKING_SECONDS = 300


@contextmanager
def prepared(home: Home, account: str, say: Callable[[str], None]) -> Iterator[None]:
    """Have the account's control stack at the end of the body. It is made beside it, for both wait most of the time.

    Only looked at when it is there already. Raises DrydockError when it could not be made.
    """
    if _is_there():
        yield
        return
    say(f"making the store of runs of account {account}")
    log = home.logs / "bootstrap.log"
    command = [sys.executable, "-m", "drydock", "bootstrap", "--account", account, "--yes"]
    with log.open("ab") as output:
        making = subprocess.Popen(
            command, cwd=PROJECT, env=attach(home), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield
        code = making.wait(MAKING_SECONDS)
    except subprocess.TimeoutExpired:
        raise DrydockError(f"the store of runs is not made within {MAKING_SECONDS} s", f"less {log}") from None
    finally:
        if making.poll() is None:
            making.terminate()
            making.wait()
    if code != 0:
        raise DrydockError(f"the store of runs could not be made; {log} says why", "drydock bootstrap")


def _is_there() -> bool:
    """Whether this process's account has one; boto3 is attached to it already."""
    try:
        control.load(os.environ["AWS_REGION"])
    except Unread:
        return False
    return True
