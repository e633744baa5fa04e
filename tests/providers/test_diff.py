from __future__ import annotations

from typing import Any

from dock.providers.declaration import declaration
from dock.providers.diff import Difference, delete_first, differences
from dock.providers.properties import UNKNOWN

KEY = "aws:kms/key:Key"
SERVICE = "aws:ecs/service:Service"
LISTENER = "aws:lb/listener:Listener"


def diff(
    token: str, state: dict[str, Any], wanted: dict[str, Any], before: dict[str, Any] | None = None, ignored: Any = ()
) -> list[Difference]:
    declared = declaration(token)
    assert declared is not None
    return differences(declared, state, wanted if before is None else before, wanted, ignored)


def paths(found: list[Difference]) -> dict[str, str]:
    return {each.path: each.kind for each in found}


def test_nothing_differs_from_itself() -> None:
    inputs = {
        "description": "d",
        "enableKeyRotation": True,
        "tags": {"a": "b"},
        "tagsAll": {"a": "b"},
        "region": "us-east-1",
    }
    assert diff(KEY, {**inputs, "arn": "arn:…", "keyId": "k"}, inputs) == []


def test_a_changed_property_is_an_update_in_place() -> None:
    found = diff(KEY, {"description": "a"}, {"description": "b"}, {"description": "a"})
    assert found == [Difference("description", "update", False, True)]


def test_a_changed_property_that_can_not_change_is_a_replacement() -> None:
    found = diff(
        "aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}, {"cidrBlock": "10.1.0.0/16"}, {"cidrBlock": "10.0.0.0/16"}
    )
    assert found == [Difference("cidrBlock", "update", True, True)]


def test_another_region_is_a_replacement() -> None:
    (found,) = diff(KEY, {"region": "us-east-1"}, {"region": "us-west-2"}, {"region": "us-east-1"})
    assert found.replace


def test_what_was_changed_behind_our_back_is_drift() -> None:
    assert diff(KEY, {"description": "theirs"}, {"description": "ours"}) == [
        Difference("description", "update", False, False)
    ]


def test_what_the_cloud_chose_is_no_difference() -> None:
    assert diff(KEY, {"policy": '{"Statement": []}', "multiRegion": True}, {}) == []


def test_a_property_that_was_taken_out_of_the_program_is_a_difference() -> None:
    found = diff("aws:cloudwatch/logGroup:LogGroup", {"kmsKeyId": "arn:k"}, {}, {"kmsKeyId": "arn:k"})
    assert paths(found) == {"kmsKeyId": "delete"}


def test_policies_that_say_the_same_are_the_same() -> None:
    written = '{"Statement": {"Action": "kms:*", "Effect": "Allow", "Resource": ["b", "a"]}}'
    read = '{"Statement":[{"Effect":"Allow","Action":["kms:*"],"Resource":["a","b"]}]}'
    assert diff(KEY, {"policy": read}, {"policy": written}) == []
    assert diff(KEY, {"policy": read}, {"policy": written.replace("Allow", "Deny")}) != []


def test_sets_have_no_order() -> None:
    state = {"subnetIds": ["b", "a"]}
    assert diff("aws:rds/subnetGroup:SubnetGroup", state, {"subnetIds": ["a", "b"]}) == []
    found = diff("aws:rds/subnetGroup:SubnetGroup", state, {"subnetIds": ["a", "c"]})
    assert paths(found) == {"subnetIds[1]": "add", "subnetIds[0]": "delete"}


def test_what_the_cloud_adds_inside_an_object_is_no_difference() -> None:
    state = {
        "defaultActions": [{"type": "forward", "targetGroupArn": "arn:t", "order": 1, "forward": {"targetGroups": []}}]
    }
    assert diff(LISTENER, state, {"defaultActions": [{"type": "forward", "targetGroupArn": "arn:t"}]}) == []


def test_what_was_taken_out_of_an_object_is_a_difference() -> None:
    before = {"defaultActions": [{"type": "forward", "targetGroupArn": "arn:t", "order": 1}]}
    wanted = {"defaultActions": [{"type": "forward", "targetGroupArn": "arn:t"}]}
    assert paths(diff(LISTENER, before, wanted, before)) == {"defaultActions[0].order": "delete"}


def test_what_the_cloud_adds_to_an_item_of_a_set_is_no_difference() -> None:
    state = {"parameters": [{"name": "b", "value": "2", "applyMethod": "immediate"}, {"name": "a", "value": "1"}]}
    wanted = {"parameters": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]}
    assert diff("aws:rds/parameterGroup:ParameterGroup", state, wanted) == []


def test_a_secret_that_the_cloud_does_not_give_back_is_compared_with_what_was_given() -> None:
    assert diff("aws:rds/instance:Instance", {}, {"password": "a"}) == []
    found = diff("aws:rds/instance:Instance", {}, {"password": "b"}, {"password": "a"})
    assert paths(found) == {"password": "update"}


def test_a_task_definition_is_compared_as_it_was_written() -> None:
    state = {"containerDefinitions": '[{"name":"web","cpu":0,"environment":[]}]'}
    wanted = {"containerDefinitions": '[{"name": "web"}]'}
    assert diff("aws:ecs/taskDefinition:TaskDefinition", state, wanted) == []
    (found,) = diff("aws:ecs/taskDefinition:TaskDefinition", state, {"containerDefinitions": "[]"}, wanted)
    assert found.replace


def test_a_value_that_is_not_known_yet_is_a_difference() -> None:
    found = diff(KEY, {"description": "a"}, {"description": UNKNOWN}, {"description": "a"})
    assert paths(found) == {"description": "update"}


def test_what_others_own_is_left_to_them() -> None:
    state = {"desiredCount": 2, "taskDefinition": "arn:a:7", "healthCheckGracePeriodSeconds": 30}
    wanted = {"desiredCount": 0, "taskDefinition": "arn:a:1", "healthCheckGracePeriodSeconds": 60}
    found = diff(SERVICE, state, wanted, ignored=["desiredCount", "taskDefinition"])
    assert paths(found) == {"healthCheckGracePeriodSeconds": "update"}


def test_a_path_of_ignore_changes_covers_what_is_below_it_and_nothing_else() -> None:
    state = {"tags": {"a": "1", "b": "1"}, "tagsAll": {"a": "1", "b": "1"}}
    wanted = {"tags": {"a": "2", "b": "2"}, "tagsAll": {"a": "2", "b": "2"}}
    found = diff(KEY, state, wanted, before={"tags": state["tags"]}, ignored=["tags.a", "tagsAll.a"])
    assert paths(found) == {"tags.b": "update", "tagsAll.b": "update"}
    actions = {"defaultActions": [{"type": "forward", "forward": {"targetGroups": [{"arn": "t", "weight": 1}]}}]}
    shifted = {"defaultActions": [{"type": "forward", "forward": {"targetGroups": [{"arn": "t", "weight": 9}]}}]}
    assert diff(LISTENER, shifted, actions, ignored=["defaultActions[*].forward"]) == []


def test_nothing_and_what_stands_for_nothing_are_the_same() -> None:
    assert diff("aws:rds/instance:Instance", {"deletionProtection": False, "maxAllocatedStorage": 0}, {}) == []


def test_a_name_that_stays_means_that_the_old_resource_goes_first() -> None:
    declared = declaration("aws:lb/targetGroup:TargetGroup")
    assert declared is not None
    assert delete_first(declared, {"name": "web"}, {"name": "web"})
    assert not delete_first(declared, {"name": "web-1234567"}, {"name": "web-89abcde", "__defaults": ["name"]})
    assert not delete_first(declared, {"name": "web"}, {"name": "web-two"})
