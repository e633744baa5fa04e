import json

from tests.components.build import build


def test_a_tag_never_moves_and_every_image_is_scanned():
    repository = build("registry", "Registry").one("Repository").inputs
    assert repository["name"] == "thing"
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}


def test_images_expire_by_number_and_untagged_ones_by_age():
    policy = build("registry", "Registry", keep_images=7).one("LifecyclePolicy").inputs["policy"]
    untagged, rest = json.loads(policy)["rules"]
    assert (untagged["selection"]["tagStatus"], untagged["selection"]["countType"]) == ("untagged", "sinceImagePushed")
    assert (rest["selection"]["countType"], rest["selection"]["countNumber"]) == ("imageCountMoreThan", 7)
    # ECR wants the rule for any tag last.
    assert untagged["rulePriority"] < rest["rulePriority"]
