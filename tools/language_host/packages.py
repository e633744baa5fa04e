"""The Pulumi packages that a program's environment holds, and the plugins that they ask for."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.language_host.toolchain import Toolchain

# Parts of the SDK, and the policy SDK: none has a plugin of its own.
_WITHOUT_PLUGIN = {"pulumi", "pulumi-policy"}
_RELEASE = re.compile(r"\d+(\.\d+){1,2}")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A resource plugin, as a package's `pulumi-plugin.json` names it; `version` has its leading v."""

    name: str
    version: str
    server: str
    parameterization: dict[str, str] | None


def search_path(toolchain: Toolchain) -> list[Path]:
    """Where the toolchain's interpreter looks for packages."""
    if toolchain.is_ours:
        return [Path(folder) for folder in sys.path if folder]
    found = json.loads(toolchain.ask("-c", "import json, sys; print(json.dumps(sys.path))"))
    return [Path(folder) for folder in found if folder]


def plugins(folders: list[Path]) -> list[Plugin]:
    """Those of every package in these folders that is made for Pulumi; one without metadata counts by its name."""
    found: dict[str, Plugin] = {}
    described = set()
    for folder in folders:
        for metadata in sorted(folder.glob("*/pulumi-plugin.json")):
            described.add(metadata.parent.name)
            facts = json.loads(metadata.read_text())
            if not facts.get("resource"):
                continue
            name = facts.get("name") or metadata.parent.name.removeprefix("pulumi_").replace("_", "-")
            version = facts.get("version") or ""
            if name not in found and version:
                found[name] = Plugin(name, _tagged(version), facts.get("server", ""), facts.get("parameterization"))
    for folder in folders:
        for record in sorted(folder.glob("pulumi_*.dist-info")):
            module, version = record.name.removesuffix(".dist-info").split("-", 1)
            name = module.removeprefix("pulumi_").replace("_", "-")
            # The plugin's version can't be told from a pre-release of the package.
            if module in described or name in found or not _RELEASE.fullmatch(version):
                continue
            if f"pulumi-{name}" not in _WITHOUT_PLUGIN:
                found[name] = Plugin(name, _tagged(version), "", None)
    return list(found.values())


def normalized(name: str) -> str:
    """A package's name as indexes write it: one package may be called `pulumi_aws` and `pulumi-aws`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _tagged(version: str) -> str:
    return version if version.startswith("v") else f"v{version}"
