import pytest

from tests.components.build import build


def group(**changes):
    return build("redis", "Redis", **changes).one("ReplicationGroup").inputs


def test_it_fails_over_by_itself_to_a_replica_in_another_zone():
    made = group(replicas=2)
    assert made["numCacheClusters"] == 3
    assert made["automaticFailoverEnabled"] is made["multiAzEnabled"] is True


def test_it_is_encrypted_everywhere_and_asks_for_a_token():
    made = group()
    assert (made["transitEncryptionEnabled"], made["transitEncryptionMode"]) == (True, "required")
    assert made["atRestEncryptionEnabled"] is True
    assert made["kmsKeyId"].startswith("arn:aws:kms:")
    assert (made["authToken"], made["authTokenUpdateStrategy"]) == ("t", "ROTATE")


def test_its_parameter_group_is_of_its_family():
    run = build("redis", "Redis")
    assert run.one("ParameterGroup").inputs["family"] == "redis7"
    assert run.one("ReplicationGroup").inputs["parameterGroupName"] == "thing-redis7"


@pytest.mark.parametrize(("final_snapshot", "name"), [(True, "thing-final"), (False, None)])
def test_a_deletion_leaves_a_snapshot_behind_if_asked(final_snapshot, name):
    assert group(final_snapshot=final_snapshot).get("finalSnapshotIdentifier") == name
