"""Which account a command talks to: the shell's, or the dock's when the environment lives there."""

from __future__ import annotations

import os

import yaml

from dock.home import Home
from drydock.errors import DrydockError
from drydock.shell import PROJECT, attach

# Of the dock (dock/cloud.py), whose import would take longer than this whole file.
_DOCK_ACCOUNTS = ("000000000001", "000000000002")


def attached(environment: str) -> dict[str, str]:
    """The variables of a process that works on an environment. A shell that is attached to an account stays so; else
    the dock is attached where `Pulumi.<environment>.yaml` says that the environment lives there."""
    if os.environ.get("AWS_ENDPOINT_URL") or not _in_dock(environment):
        return dict(os.environ)
    return attach(Home.default())


def _in_dock(environment: str) -> bool:
    path = PROJECT / f"Pulumi.{environment}.yaml"
    try:
        settings = yaml.safe_load(path.read_text())["config"]["drydock:settings"]
    except FileNotFoundError:
        return False
    except (yaml.YAMLError, KeyError, TypeError) as problem:
        raise DrydockError(f"{path.name} can't be read: {problem}", f"less {path.name}") from None
    return str(settings.get("account")) in _DOCK_ACCOUNTS
