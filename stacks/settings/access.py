"""Who may do what, and from where they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from stacks.domain import Account, Expected, Name, Part, whole

GITHUB = "https://token.actions.githubusercontent.com"
_NAME = r"[A-Za-z0-9_.-]+"


class Github(Part):
    """The one workflow that deploys here. Ids beside names, since a name can be given to somebody else."""

    owner: Annotated[str, Field(pattern=f"^{_NAME}$"), Expected("an organisation or a user of GitHub", "chatvrm")]
    owner_id: Annotated[str, Field(pattern=r"^\d+$"), Expected("its id: digits, in quotes", "1234567")]
    repository: Annotated[str, Field(pattern=f"^{_NAME}$"), Expected("a repository's name", "platform")]
    repository_id: Annotated[str, Field(pattern=r"^\d+$"), Expected("its id: digits, in quotes", "7654321")]
    environment: Annotated[str, Field(pattern=f"^{_NAME}$"), Expected("an environment of GitHub's", "production")]
    """Whose approvals the workflow must have passed."""
    workflow: Annotated[
        str,
        Field(pattern=rf"^{_NAME}/{_NAME}/\.github/workflows/{_NAME}\.ya?ml@refs/(heads|tags)/\S+$"),
        Expected(
            "owner/repository/.github/workflows/file@ref",
            "chatvrm/platform/.github/workflows/deploy.yml@refs/heads/main",
        ),
    ]
    """The file that deploys, and the branch or tag it is taken from."""
    issuer: Annotated[
        str,
        Field(pattern=r"^https?://[a-z0-9.-]+(:\d+)?(/\S*)?$"),
        Expected("the URL of who signs the workflows' tokens", GITHUB),
    ] = GITHUB
    make_provider: bool = True
    """An account has one identity provider for an issuer: false where another environment makes it."""

    def contradictions(self) -> Iterator[str]:
        if self.issuer.startswith("http://") and not self.issuer.startswith("http://127."):
            yield "issuer must be https://; http:// is for a rehearsal's on 127.x.y.z"


class Access(Part):
    """People's roles, and who takes them on."""

    people: Name
    """The beginning of the names of people's roles and groups: `<people>-admin-role`, …; usually the platform's."""
    make_people: bool = True
    """An account has them once: false where another environment makes them."""
    accounts: Annotated[tuple[Account, ...], Field(min_length=1, max_length=5)]
    """Where people's users are."""
    developers: Literal["deploy", "read"]
    """What developers do here: deploy where data are not real."""
    session_seconds: whole(3600, 43200, "seconds", 14400)  # type: ignore[valid-type]
    """How long people have a role before they need their MFA device again."""
    github: Github | None = None
    """Deployments by GitHub's workflows; left out, there are none."""
