"""`docs/differences-from-aws.md`: generated from what the dock's handlers declare, so that it can't fall behind."""

from __future__ import annotations

from dock.emulator import EMULATED_SERVICES
from dock.services import SERVICES
from drydock.shell import PROJECT

PAGE = PROJECT / "docs" / "differences-from-aws.md"
INTRODUCTION = PROJECT / "docs" / "differences-from-aws.in.md"


def page() -> str:
    """The whole page: the written introduction, then one table for each service that the dock serves itself."""
    parts = [INTRODUCTION.read_text().rstrip()]
    emulated = ", ".join(f"`{name}`" for name in sorted(EMULATED_SERVICES))
    parts.append(f"## Served by the emulator\n\n{emulated}: records alone. Every other service is refused by name.")
    for service in sorted(SERVICES, key=lambda kind: kind.name):
        rows = [
            f"| {name} | {' '.join(sorted(declared.records)) or '–'} |"
            for name, declared in sorted(service.operations().items())
        ]
        parts.append(
            f"## {service.name}\n\nWhat isn't in this table is refused, and so is every parameter that an operation"
            " neither acts on nor records.\n\n| operation | recorded only |\n|---|---|\n" + "\n".join(rows)
        )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
