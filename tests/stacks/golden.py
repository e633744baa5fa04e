"""The reviewed graph of each stack. `python -m tests.stacks.golden` writes them anew."""

from __future__ import annotations

import sys
from pathlib import Path

from stacks import platforms
from stacks.control import ControlStack
from stacks.environment import Environment
from stacks.settings import Control
from tests.stacks.files import FILES, PROFILES, parsed
from tests.stacks.recording import Recording, record, short

PLACE = Path(__file__).with_name("golden")


def graph(recording: Recording) -> str:
    """One line for each resource, under the component that it is a child of."""
    parents = {each.urn: each.parent for each in recording.resources if each.type != "pulumi:pulumi:Stack"}
    lines = []
    for each in recording.resources:
        if each.urn not in parents:
            continue
        # Sorted by the whole way down: children stand behind their parents, whatever order they were registered in.
        path = [each.urn]
        while (parent := parents.get(path[0])) in parents:
            path.insert(0, str(parent))
        marks = " protected" if each.protect else ""
        marks += f" ignores {', '.join(each.ignore_changes)}" if each.ignore_changes else ""
        lines.append((path, f"{'  ' * (len(path) - 1)}{short(each.type)} {each.name}{marks}"))
    return "\n".join(line for _, line in sorted(lines)) + "\n"


def build(stack: str) -> Environment | ControlStack:
    settings = parsed(stack)
    if isinstance(settings, Control):
        return ControlStack(settings)
    return Environment(settings, platforms.load(settings.platform))


def main() -> None:
    PLACE.mkdir(exist_ok=True)
    for stack in [*FILES, *PROFILES]:
        recording = record(lambda: build(stack), stack)  # noqa: B023
        (PLACE / f"{stack}.txt").write_text(graph(recording))
        print(f"wrote {PLACE / stack}.txt", file=sys.stderr)


if __name__ == "__main__":
    main()
