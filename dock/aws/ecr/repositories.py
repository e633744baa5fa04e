"""Repositories and what is configured on them."""

from __future__ import annotations

import json
import re
import secrets
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from dock.aws.service import AwsError, Call, Request, Response, Service, operation
from dock.engines.blobs import Blobs
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

_NAME = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*")
_TOKEN_SECONDS = 12 * 3600


class Repositories(Service):
    """Handlers of repositories; the tables and blobs that the other parts of the registry share."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.repositories = cloud.store.table("ecr/repository")
        self.images = cloud.store.table("ecr/image")
        self.layers = cloud.store.table("ecr/layer")
        self.uploads = cloud.store.table("ecr/upload")
        self.blobs = Blobs(cloud.home.data("ecr"))

    def repository(self, call: Call, request: Request) -> Record:
        """The repository that a request names. Raises AwsError RepositoryNotFoundException."""
        registry(call, request)
        name = request["repositoryName"]
        found = self.repositories.get(call.scope, name)
        if found is None:
            raise AwsError(
                "RepositoryNotFoundException",
                f"The repository with name '{name}' does not exist in the registry with id '{call.account}'",
            )
        return found

    def images_of(self, scope: Scope, repository: str) -> list[Record]:
        """Image records of a repository."""
        return [image for image in self.images.list(scope) if image["repository"] == repository]

    def known_digests(self) -> set[str]:
        """Every blob that some repository of any account and region holds."""
        return {layer["digest"] for _, _, layer in self.layers.all()}

    @operation(
        "CreateRepository",
        acts="registryId repositoryName tags imageTagMutability imageTagMutabilityExclusionFilters",
        records="imageScanningConfiguration encryptionConfiguration",
    )
    async def create_repository(self, call: Call, request: Request) -> Response:
        registry(call, request)
        name = request["repositoryName"]
        if not _NAME.fullmatch(name) or len(name) < 2:
            raise AwsError(
                "InvalidParameterException",
                f"Invalid parameter at 'repositoryName': {name!r} is not lower-case letters, digits and single . _ - /",
            )
        if self.repositories.get(call.scope, name) is not None:
            raise AwsError(
                "RepositoryAlreadyExistsException",
                f"The repository with name '{name}' already exists in the registry with id '{call.account}'",
            )
        mutability = request.get("imageTagMutability", "MUTABLE")
        exclusions = request.get("imageTagMutabilityExclusionFilters", [])
        _check_mutability(mutability, exclusions)
        repository = {
            "name": name,
            "arn": call.arn(f"repository/{name}"),
            "created": time.time(),
            "mutability": mutability,
            "exclusions": exclusions,
            "scanning": request.get("imageScanningConfiguration", {"scanOnPush": False}),
            "encryption": request.get("encryptionConfiguration", {"encryptionType": "AES256"}),
            "tags": {tag["Key"]: tag["Value"] for tag in request.get("tags", [])},
            "policy": None,
            "lifecycle": None,
        }
        self.repositories.put(call.scope, name, repository)
        return {"repository": _view(call, repository)}

    @operation("DescribeRepositories", acts="registryId repositoryNames nextToken maxResults")
    async def describe_repositories(self, call: Call, request: Request) -> Response:
        registry(call, request)
        if names := request.get("repositoryNames"):
            found = [self.repository(call, {"repositoryName": name}) for name in names]
        else:
            found = self.repositories.list(call.scope)
        page, token = paginate(found, request, lambda repository: str(repository["name"]))
        return {"repositories": [_view(call, repository) for repository in page], "nextToken": token}

    @operation(
        "PutImageTagMutability", acts="registryId repositoryName imageTagMutability imageTagMutabilityExclusionFilters"
    )
    async def put_image_tag_mutability(self, call: Call, request: Request) -> Response:
        repository = self.repository(call, request)
        exclusions = request.get("imageTagMutabilityExclusionFilters", [])
        _check_mutability(request["imageTagMutability"], exclusions)
        repository |= {"mutability": request["imageTagMutability"], "exclusions": exclusions}
        self.repositories.put(call.scope, repository["name"], repository)
        return {"registryId": call.account, **request}

    @operation("PutImageScanningConfiguration", acts="registryId repositoryName", records="imageScanningConfiguration")
    async def put_image_scanning_configuration(self, call: Call, request: Request) -> Response:
        repository = self.repository(call, request)
        repository["scanning"] = request["imageScanningConfiguration"]
        self.repositories.put(call.scope, repository["name"], repository)
        return {"registryId": call.account, **request}

    @operation("SetRepositoryPolicy", acts="registryId repositoryName", records="policyText force")
    async def set_repository_policy(self, call: Call, request: Request) -> Response:
        repository = self.repository(call, request)
        try:
            json.loads(request["policyText"])
        except ValueError:
            raise AwsError("InvalidParameterException", "Invalid parameter at 'PolicyText': it is not JSON") from None
        repository["policy"] = request["policyText"]
        self.repositories.put(call.scope, repository["name"], repository)
        return _policy_view(call, repository)

    @operation("GetRepositoryPolicy", acts="registryId repositoryName")
    async def get_repository_policy(self, call: Call, request: Request) -> Response:
        return _policy_view(call, self._with_policy(call, request))

    @operation("DeleteRepositoryPolicy", acts="registryId repositoryName")
    async def delete_repository_policy(self, call: Call, request: Request) -> Response:
        repository = self._with_policy(call, request)
        self.repositories.put(call.scope, repository["name"], repository | {"policy": None})
        return _policy_view(call, repository)

    def _with_policy(self, call: Call, request: Request) -> Record:
        repository = self.repository(call, request)
        if repository["policy"] is None:
            raise AwsError(
                "RepositoryPolicyNotFoundException",
                f"Repository policy does not exist for the repository with name '{repository['name']}'"
                f" in the registry with id '{call.account}'",
            )
        return repository

    @operation("TagResource", acts="resourceArn tags")
    async def tag_resource(self, call: Call, request: Request) -> Response:
        repository = self._by_arn(call, request["resourceArn"])
        repository["tags"] |= {tag["Key"]: tag["Value"] for tag in request["tags"]}
        if len(repository["tags"]) > 50:
            raise AwsError("TooManyTagsException", "A repository can have 50 tags.")
        self.repositories.put(call.scope, repository["name"], repository)
        return {}

    @operation("UntagResource", acts="resourceArn tagKeys")
    async def untag_resource(self, call: Call, request: Request) -> Response:
        repository = self._by_arn(call, request["resourceArn"])
        for key in request["tagKeys"]:
            repository["tags"].pop(key, None)
        self.repositories.put(call.scope, repository["name"], repository)
        return {}

    @operation("ListTagsForResource", acts="resourceArn")
    async def list_tags_for_resource(self, call: Call, request: Request) -> Response:
        repository = self._by_arn(call, request["resourceArn"])
        return {"tags": [{"Key": key, "Value": value} for key, value in sorted(repository["tags"].items())]}

    def _by_arn(self, call: Call, arn: str) -> Record:
        prefix = call.arn("repository/")
        if not arn.startswith(prefix):
            raise AwsError("InvalidParameterException", f"{arn!r} is not the ARN of a repository here.")
        return self.repository(call, {"repositoryName": arn.removeprefix(prefix)})

    @operation("GetAuthorizationToken", records="registryIds")
    async def get_authorization_token(self, call: Call, request: Request) -> Response:
        # No registry endpoint of the dock asks for it; clients that only want one get one.
        token = b64encode(f"AWS:{secrets.token_urlsafe(32)}".encode()).decode()
        accounts = request.get("registryIds") or [call.account]
        return {
            "authorizationData": [
                {
                    "authorizationToken": token,
                    "expiresAt": time.time() + _TOKEN_SECONDS,
                    "proxyEndpoint": f"https://{account}.dkr.ecr.{call.region}.amazonaws.com",
                }
                for account in accounts
            ]
        }


def registry(call: Call, request: Request) -> None:
    """Refuse another account's registry."""
    if request.get("registryId", call.account) != call.account:
        raise AwsError(
            "InvalidParameterException", f"registryId is {request['registryId']}: the dock has no cross-account access"
        )


def paginate(items: list[Any], request: Request, key: Any) -> tuple[list[Any], str | None]:
    """One page of `items`, and the token of the next: the key of the last item of this one."""
    start = 0
    if (token := request.get("nextToken")) is not None:
        keys = [key(item) for item in items]
        if token not in keys:
            raise AwsError("InvalidParameterException", "Invalid parameter at 'nextToken'")
        start = keys.index(token) + 1
    limit = request.get("maxResults", 1000)
    page = items[start : start + limit]
    return page, key(page[-1]) if start + limit < len(items) else None


def _check_mutability(mutability: str, exclusions: list[dict[str, str]]) -> None:
    if bool(exclusions) != mutability.endswith("_WITH_EXCLUSION"):
        raise AwsError(
            "InvalidParameterException",
            "imageTagMutabilityExclusionFilters go with a mutability that ends in _WITH_EXCLUSION, and only with one.",
        )


def _policy_view(call: Call, repository: Record) -> Response:
    return {"registryId": call.account, "repositoryName": repository["name"], "policyText": repository["policy"]}


def _view(call: Call, repository: Record) -> dict[str, Any]:
    return {
        "repositoryArn": repository["arn"],
        "registryId": call.account,
        "repositoryName": repository["name"],
        "repositoryUri": f"{call.account}.dkr.ecr.{call.region}.amazonaws.com/{repository['name']}",
        "createdAt": repository["created"],
        "imageTagMutability": repository["mutability"],
        "imageTagMutabilityExclusionFilters": repository["exclusions"] or None,
        "imageScanningConfiguration": repository["scanning"],
        "encryptionConfiguration": repository["encryption"],
    }
