"""The environment of a shell that is attached to the dock: what `eval "$(drydock env)"` sets."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

from dock.home import Home
from drydock.errors import DrydockError

PROJECT = Path(__file__).parents[1]

# A profile or a session of the real AWS would win over the dock's keys.
UNSET = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_CA_BUNDLE",
    "PULUMI_CONFIG_PASSPHRASE",
    "CLOUDFLARE_API_KEY",
    "CLOUDFLARE_EMAIL",
    "CLOUDFLARE_API_USER_SERVICE_KEY",
)

AWS_CONFIGURATION = """\
[plugins]
drydock = drydock.aws_cli

[default]
output = json
"""


def endpoint(home: Home) -> dict[str, str]:
    """What the daemon published of itself (`endpoint_url`, `account`, `dns`, …). It stays true while it is down."""
    try:
        published: dict[str, str] = json.loads((home.run / "endpoint.json").read_text())
    except FileNotFoundError:
        raise DrydockError(f"there is no dock in {home.root} yet", "make up") from None
    except (OSError, ValueError) as problem:
        raise DrydockError(f"{home.run / 'endpoint.json'} can't be read: {problem}", "drydock up") from None
    return published


def variables(home: Home) -> dict[str, str]:
    """Names and values, PATH included. No secret of anybody is among them: passphrases are files."""
    published = endpoint(home)
    (home.run / "aws.ini").write_text(AWS_CONFIGURATION)
    pulumi = home.pulumi
    before = [str(path) for path in (Path(sys.executable).parent, engine_folder())]
    rest = [entry for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if entry not in before]
    return {
        "DRYDOCK_HOME": str(home.root),
        "DRYDOCK_CA": str(home.certificate_authority),
        "PATH": os.pathsep.join(before + rest),
        "AWS_ENDPOINT_URL": published["endpoint_url"],
        # An older daemon's home has none until the dock is started anew.
        "DRYDOCK_DNS": published.get("dns", ""),
        "CLOUDFLARE_BASE_URL": published.get("cloudflare", ""),
        # It opens this dock alone, which only this machine reaches, and its file only its owner: worth as much as the
        # word beside AWS's key below. Clients take it from the environment and from nowhere else.
        "CLOUDFLARE_API_TOKEN": _cloudflare_token(home),
        "AWS_ACCESS_KEY_ID": published["account"],
        "AWS_SECRET_ACCESS_KEY": "dock",
        "AWS_REGION": published["region"],
        "AWS_DEFAULT_REGION": published["region"],
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home.run / "aws.ini"),
        "SSL_CERT_FILE": str(home.trust_bundle),
        "PGSSLROOTCERT": str(home.certificate_authority),
        "PULUMI_HOME": str(pulumi / "home"),
        "PULUMI_BACKEND_URL": f"file://{pulumi / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(pulumi / "passphrase"),
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }


def _cloudflare_token(home: Home) -> str:
    try:
        return (home.keys / "cloudflare-token").read_text().strip()
    except FileNotFoundError:
        return ""


def script(home: Home, stack: str | None = None) -> str:
    """Shell commands for `eval`. `stack` is one whose copy the shell is to work on."""
    values = variables(home)
    if stack is not None:
        from drydock.rehearse.copy import Copy, lives_in_a_dock

        if not lives_in_a_dock(stack):
            values |= Copy(home, stack).variables()
    lines = [f"unset {' '.join(UNSET)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join(lines)


def attach(home: Home) -> dict[str, str]:
    """A whole environment for a child process: this one's, attached to the dock."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    return {**kept, **variables(home)}


def engine_folder() -> Path:
    """Where `make setup` put the engine, or found it. Raises DrydockError when it did neither."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    note = cache / "drydock" / "engine" / "path"
    try:
        folder = Path(note.read_text().strip())
    except FileNotFoundError:
        raise DrydockError("Pulumi's engine is not installed", "make up") from None
    if not (folder / "pulumi").exists():
        raise DrydockError(f"Pulumi's engine is gone from {folder}", "make up")
    return folder
