"""AWS's own managed policies: those that the dock knows, in `managed.json`. Any other one does not exist here."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from dock.aws.iam.records import as_json
from dock.store import Record

PREFIX = "arn:aws:iam::aws:policy/"
_FILE = Path(__file__).with_name("managed.json")
# 2015-02-06, when most of them were made.
_CREATED = 1423212000.0


@functools.cache
def policies() -> dict[str, Record]:
    found = {}
    for path, document in json.loads(_FILE.read_text()).items():
        folder, _, name = path.rpartition("/")
        found[PREFIX + path] = {
            "name": name,
            "path": f"/{folder}/" if folder else "/",
            "arn": PREFIX + path,
            "id": "ANPA" + name.upper()[:17].ljust(17, "A"),
            "description": "",
            "default": "v1",
            "versions": {"v1": {"document": as_json(document), "created": _CREATED}},
            "created": _CREATED,
            "updated": _CREATED,
            "tags": {},
        }
    return found


def policy(arn: str) -> Record | None:
    return policies().get(arn)
