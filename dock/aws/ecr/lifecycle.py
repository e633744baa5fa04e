"""Lifecycle policies: which images expire."""

from __future__ import annotations

import json
import time
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dock.aws.ecr.images import Images
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record, Scope


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Selection(_Strict):
    """Which images a rule is about."""

    tagStatus: Literal["tagged", "untagged", "any"]
    tagPrefixList: list[str] = []
    tagPatternList: list[str] = []
    countType: Literal["imageCountMoreThan", "sinceImagePushed"]
    countUnit: Literal["days"] | None = None
    countNumber: int = Field(ge=1)

    @model_validator(mode="after")
    def _fits(self) -> Selection:
        listed = bool(self.tagPrefixList) + bool(self.tagPatternList)
        if (self.tagStatus == "tagged") != (listed == 1):
            raise ValueError("tagPrefixList or tagPatternList goes with tagStatus tagged, and only with it")
        if (self.countType == "sinceImagePushed") != (self.countUnit is not None):
            raise ValueError("countUnit goes with countType sinceImagePushed, and only with it")
        return self

    def covers(self, tags: list[str]) -> bool:
        """Whether an image with these tags is one of those."""
        if self.tagStatus == "any":
            return True
        if self.tagStatus == "untagged":
            return not tags
        if self.tagPrefixList:
            return all(any(tag.startswith(prefix) for tag in tags) for prefix in self.tagPrefixList)
        return all(any(fnmatchcase(tag, pattern) for tag in tags) for pattern in self.tagPatternList)


class Action(_Strict):
    type: Literal["expire"]


class Rule(_Strict):
    rulePriority: int = Field(ge=1)
    description: str = ""
    selection: Selection
    action: Action


class Policy(_Strict):
    """A lifecycle policy's document."""

    rules: list[Rule] = Field(min_length=1, max_length=50)


def expired(policy: Policy, images: list[Record], now: float) -> list[Record]:
    """The images that a policy lets go: each by the first rule, by priority, that covers it.

    An image that a rule covers is none of a later rule's business, whether it expires or not.
    """
    left = sorted(images, key=lambda image: -image["pushed"])
    gone = []
    for rule in sorted(policy.rules, key=lambda rule: rule.rulePriority):
        covered = [image for image in left if rule.selection.covers(image["tags"])]
        if rule.selection.countType == "imageCountMoreThan":
            gone += covered[rule.selection.countNumber :]
        else:
            limit = now - rule.selection.countNumber * 86400
            gone += [image for image in covered if image["pushed"] < limit]
        left = [image for image in left if image not in covered]
    return gone


class Lifecycle(Images):
    """Handlers of lifecycle policies. They are applied when they are put, and then every hour."""

    @operation("PutLifecyclePolicy", acts="registryId repositoryName lifecyclePolicyText")
    async def put_lifecycle_policy(self, call: Call, request: Request) -> Response:
        repository = self.repository(call, request)
        _parse(request["lifecyclePolicyText"])
        repository["lifecycle"] = request["lifecyclePolicyText"]
        self.repositories.put(call.scope, repository["name"], repository)
        self.expire_images(call.scope, repository["name"])
        return _view(call, repository)

    @operation("GetLifecyclePolicy", acts="registryId repositoryName")
    async def get_lifecycle_policy(self, call: Call, request: Request) -> Response:
        return _view(call, self._with_policy_text(call, request))

    @operation("DeleteLifecyclePolicy", acts="registryId repositoryName")
    async def delete_lifecycle_policy(self, call: Call, request: Request) -> Response:
        repository = self._with_policy_text(call, request)
        self.repositories.put(call.scope, repository["name"], repository | {"lifecycle": None})
        return _view(call, repository)

    def _with_policy_text(self, call: Call, request: Request) -> Record:
        repository = self.repository(call, request)
        if repository["lifecycle"] is None:
            raise AwsError(
                "LifecyclePolicyNotFoundException",
                f"Lifecycle policy does not exist for the repository with name '{repository['name']}' in the registry"
                f" with id '{call.account}'",
            )
        return repository

    def expire_images(self, scope: Scope, name: str) -> None:
        """Delete what the repository's policy lets go."""
        repository = self.repositories.get(scope, name)
        if repository is None or repository["lifecycle"] is None:
            return
        for image in expired(_parse(repository["lifecycle"]), self.images_of(scope, name), time.time()):
            self.delete_image(scope, image)


def _parse(text: str) -> Policy:
    try:
        policy = Policy.model_validate(json.loads(text))
    except ValueError as problem:
        details = problem.errors() if isinstance(problem, ValidationError) else []
        why = "; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in details) or str(problem)
        raise AwsError(
            "InvalidParameterException",
            f"Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: {why}",
        ) from None
    priorities = [rule.rulePriority for rule in policy.rules]
    if len(set(priorities)) != len(priorities):
        raise AwsError(
            "InvalidParameterException", "Invalid parameter at 'LifecyclePolicyText': rule priorities repeat"
        )
    return policy


def _view(call: Call, repository: Record) -> dict[str, Any]:
    return {
        "registryId": call.account,
        "repositoryName": repository["name"],
        "lifecyclePolicyText": repository["lifecycle"],
    }
