"""`drydock runbook`: what runbooks there are, and each as a page for the night when the store of runs is down."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Runbooks: list them, or print one as a procedure by hand.", no_args_is_help=True)

_HEADINGS = ("Purpose and impact", "When", "Verify", "Way back")


@app.command(name="list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """The runbooks, and the parameters of each."""
    from drydock import parameters
    from operations.parameters import BY_RUNBOOK, Changing

    found = {
        name: {
            "changes": issubclass(model, Changing),
            "parameters": [
                dict(zip(("name", "type", "default", "meaning"), row, strict=True))
                for row in parameters.describe(model)
            ],
        }
        for name, model in BY_RUNBOOK.items()
    }
    if as_json:
        print(json.dumps({"schema_version": 1, "runbooks": found}, indent=2))
        return
    for name, about in found.items():
        print(f"{name}: {'changes the environment' if about['changes'] else 'changes nothing'}")
        rows: Any = about["parameters"]
        for row in rows:
            print(f"  -p {row['name']}={row['type']:24} {row['meaning']} ({row['default']})")


@app.command(name="print")
def print_(
    name: Annotated[str, typer.Argument(help="The runbook.")],
    environment: Annotated[str, typer.Option("--env", help="The environment whose names are filled in.")] = "local",
    platform: Annotated[str, typer.Option("--platform", help="The platform.")] = "chatvrm",
    service: Annotated[str, typer.Option(help="The service, as the manifest names it.")] = "web",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; else standard output.")] = None,
) -> None:
    """The same procedure by hand, with ordinary tools, as Markdown. Print it before you need it.

    Names come from the manifest; where it can't be read, they are left to fill in."""
    from drydock import parameters

    parameters.model(name)
    text = page(name, environment, platform, service)
    if output is None:
        print(text)
    else:
        output.write_text(text + "\n")


def page(name: str, environment: str, platform: str, service: str) -> str:
    """The page as Markdown."""
    from operations import catalogue

    sections = _sections(name)
    names, note = _names(environment, platform, service)
    lines = [f"# {sections['title']}, by hand: {platform} {environment}", "", note, ""]
    lines += [part for heading in _HEADINGS[:2] for part in (f"## {heading}", "", sections[heading], "")]
    lines += [
        "## Names",
        "",
        "```sh",
        *(f"export {key}={shlex.quote(value)}" for key, value in names.items()),
        "```",
        "",
    ]
    for number, part in enumerate(catalogue.named(name).by_hand(), 1):
        lines += [f"## {number}. {part.title}", "", "```sh", *part.commands, "```", ""]
        lines += [part.note, ""] if part.note else []
    lines += [part for heading in _HEADINGS[2:] for part in (f"## {heading}", "", sections[heading], "")]
    lines += [
        "## Afterwards",
        "",
        "Write down who did what, when and why: nothing of this is in the store of runs.",
        "",
    ]
    return "\n".join(lines).rstrip()


def _sections(name: str) -> dict[str, str]:
    """The notebook's own words by heading, and its title."""
    from drydock.runner import RUNBOOKS

    notebook = json.loads((RUNBOOKS / f"{name}.ipynb").read_text())
    text = "\n\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    title, *parts = text.split("\n## ")
    found = {"title": title.strip().removeprefix("# ")}
    for part in parts:
        heading, _, body = part.partition("\n")
        found[heading.strip()] = body.strip()
    return found


def _names(environment: str, platform: str, service: str) -> tuple[dict[str, str], str]:
    """What the commands call by name, and where it is from."""
    from drydock import place
    from drydock.errors import DrydockError
    from operations import manifest as manifests
    from operations.errors import OperationError

    try:
        os.environ.update(place.attached(environment))
        manifest = manifests.load(platform, environment)
    except (OperationError, DrydockError) as problem:
        said = f"The manifest could not be read ({problem.what}): fill the names in. They follow one pattern."
        return _guessed(environment, platform, service), said
    entry, database, cache = manifest.service(service), manifest.database, manifest.cache
    names = {
        "AWS_REGION": manifest.region,
        "CLUSTER": entry.cluster,
        "SERVICE": entry.service,
        "FAMILY": entry.family,
        "TEMPLATE": entry.template,
        "MIGRATION_FAMILY": entry.migration_family,
        "MIGRATION_TEMPLATE": entry.migration_template,
        "REPOSITORY": entry.repository,
        "REPOSITORY_URL": entry.repository_url,
        "COUNT": str(entry.desired_count),
        "SUBNETS": ",".join(entry.subnets),
        "SECURITY_GROUPS": ",".join(entry.security_groups),
        "TARGET_GROUP": entry.target_group,
        "URL": entry.url,
        "HEALTH_PATH": entry.health_path,
        "DATABASE": database.identifier,
        "DATABASE_HOST": database.endpoint,
        "DATABASE_PORT": str(database.port),
        "DATABASE_NAME": database.name,
        "DATABASE_ROLE": database.application_role,
        "APPLICATION_SECRET": database.application_secret,
        "CACHE": cache.replication_group,
        "DIGEST": "sha256:FILL_IN",
    }
    return names, f"Names from the manifest of {platform} {environment}, read from {manifest.read_from}."


def _guessed(environment: str, platform: str, service: str) -> dict[str, str]:
    base = f"{platform}-{environment}"
    return {
        "AWS_REGION": "FILL_IN",
        "CLUSTER": base,
        "SERVICE": f"{base}-{service}",
        "FAMILY": f"{base}-{service}",
        "TEMPLATE": f"{base}-{service}-template",
        "MIGRATION_FAMILY": f"{base}-{service}-migrate",
        "MIGRATION_TEMPLATE": f"{base}-{service}-migrate-template",
        "REPOSITORY": f"{base}-{service}",
        **dict.fromkeys(
            ("REPOSITORY_URL", "COUNT", "SUBNETS", "SECURITY_GROUPS", "TARGET_GROUP", "URL", "HEALTH_PATH"), "FILL_IN"
        ),
        "DATABASE": f"{base}-database",
        **dict.fromkeys(
            ("DATABASE_HOST", "DATABASE_PORT", "DATABASE_NAME", "DATABASE_ROLE", "APPLICATION_SECRET"), "FILL_IN"
        ),
        "CACHE": f"{base}-cache",
        "DIGEST": "sha256:FILL_IN",
    }
