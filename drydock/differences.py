"""`docs/differences-from-aws.md`: generated from what the dock's handlers declare, so that it can't fall behind."""

from __future__ import annotations

from dock.aws.ecs import declared
from dock.cloudflare import routes
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
            f"| {name} | {' '.join(sorted(operation.records)) or '–'} |"
            for name, operation in sorted(service.operations().items())
        ]
        parts.append(
            f"## {service.name}\n\nWhat isn't in this table is refused, and so is every parameter that an operation"
            " neither acts on nor records.\n\n| operation | recorded only |\n|---|---|\n" + "\n".join(rows)
        )
    calls = "\n".join(
        f"| {route.method} {route.template} | {' '.join(sorted(route.records)) or '–'} |"
        for route in sorted(routes(), key=lambda each: (each.template, each.method))
    )
    parts.append(f"## cloudflare\n\nAny other call is refused.\n\n| call | recorded only |\n|---|---|\n{calls}")
    nested = "\n".join(
        f"| {parameter} | {' '.join(sorted(names)) or '–'} |" for parameter, names in sorted(declared.RECORDS.items())
    )
    parts.append(
        "## ecs, inside its parameters\n\n| parameter | recorded only |\n|---|---|\n"
        + nested
        + "\n\nOther members that the dock has no use for are refused, unless they are empty or false."
    )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
