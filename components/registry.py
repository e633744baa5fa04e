"""Where the images of a service are kept."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

UNTAGGED_DAYS = 14


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """`keep_images`: older ones expire, and with them the way back to their releases."""

    key_arn: pulumi.Input[str]
    keep_images: int
    protect: bool


class Registry(pulumi.ComponentResource):
    """An ECR repository whose tags never move: a rollback finds the image that it names."""

    repository: pulumi.Output[str]
    repository_arn: pulumi.Output[str]
    repository_url: pulumi.Output[str]

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Registry", name, None, opts)
        repository = aws.ecr.Repository(
            f"{name}-repository",
            name=name,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            encryption_configurations=[
                aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=args.key_arn)
            ],
            # Images can be built again, but not those of every release that somebody may want to go back to.
            force_delete=not args.protect,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        aws.ecr.LifecyclePolicy(
            f"{name}-lifecycle",
            repository=repository.name,
            policy=json.dumps(
                {
                    "rules": [
                        {
                            "rulePriority": 1,
                            "description": f"Untagged images expire after {UNTAGGED_DAYS} days",
                            "selection": {
                                "tagStatus": "untagged",
                                "countType": "sinceImagePushed",
                                "countUnit": "days",
                                "countNumber": UNTAGGED_DAYS,
                            },
                            "action": {"type": "expire"},
                        },
                        {
                            "rulePriority": 2,
                            "description": f"The last {args.keep_images} images are kept",
                            "selection": {
                                "tagStatus": "any",
                                "countType": "imageCountMoreThan",
                                "countNumber": args.keep_images,
                            },
                            "action": {"type": "expire"},
                        },
                    ]
                }
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.repository = repository.name
        self.repository_arn = repository.arn
        self.repository_url = repository.repository_url
        self.register_outputs(
            {
                "repository": self.repository,
                "repository_arn": self.repository_arn,
                "repository_url": self.repository_url,
            }
        )
