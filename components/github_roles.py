"""How GitHub's workflows deploy without a key of long life: by the tokens that GitHub signs for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.boundary import allow, policy

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class GithubRolesArgs:
    """`owner` and `repository` are names, the ids what GitHub never gives to another (both are in the tokens).

    `workflow`: `<owner>/<repository>/.github/workflows/<file>@<ref>`. `github_environment`: whose approvals the
    workflow has passed. `issuer`: GitHub's, or a rehearsal's on loopback. `make_provider`: an account has one of it;
    one environment makes it. `runs`: the ARNs of the runbooks' roles that a workflow takes on.
    """

    account: pulumi.Input[str]
    owner: str
    owner_id: str
    repository: str
    repository_id: str
    github_environment: str
    workflow: str
    issuer: str
    make_provider: bool
    boundary_arn: pulumi.Input[str]
    runs: Sequence[pulumi.Input[str]]


class GithubRoles(pulumi.ComponentResource):
    """`<name>-github-deploy`, for one workflow of one repository, in one environment of GitHub's."""

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: GithubRolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:GithubRoles", name, None, opts)
        host = args.issuer.partition("://")[2]
        provider_arn: pulumi.Input[str]
        if args.make_provider:
            provider = aws.iam.OpenIdConnectProvider(
                f"{name}-github",
                url=args.issuer,
                client_id_lists=[AUDIENCE],
                opts=pulumi.ResourceOptions(parent=self),
            )
            provider_arn = provider.arn
        else:
            provider_arn = pulumi.Output.concat("arn:aws:iam::", args.account, ":oidc-provider/", host)
        role = aws.iam.Role(
            f"{name}-github-deploy",
            name=f"{name}-github-deploy",
            description=f"Deployments by {args.workflow}",
            assume_role_policy=policy(
                [
                    {
                        "Sid": "Workflow",
                        "Effect": "Allow",
                        "Principal": {"Federated": provider_arn},
                        "Action": "sts:AssumeRoleWithWebIdentity",
                        "Condition": {
                            # Each claim has one value: no ForAllValues, which a token without the claim would pass.
                            "StringEquals": {
                                f"{host}:aud": AUDIENCE,
                                f"{host}:sub": self._subjects(args),
                                f"{host}:repository_id": args.repository_id,
                                f"{host}:job_workflow_ref": args.workflow,
                            }
                        },
                    }
                ]
            ),
            permissions_boundary=args.boundary_arn,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.iam.RolePolicy(
            f"{name}-github-deploy",
            name="runbooks",
            role=role.name,
            policy=policy([allow("TakeOnRunbooks", ["sts:AssumeRole"], list(args.runs))]),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})

    @staticmethod
    def _subjects(args: GithubRolesArgs) -> list[str]:
        """Both forms: repositories made or renamed since July 2026 carry their ids in the subject."""
        end = f"environment:{args.github_environment}"
        return [
            f"repo:{args.owner}/{args.repository}:{end}",
            f"repo:{args.owner}@{args.owner_id}/{args.repository}@{args.repository_id}:{end}",
        ]
