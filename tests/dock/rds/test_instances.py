"""The life of a DB instance, as boto3 and psycopg see it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from dock.cloud import ACCOUNTS, REGIONS
from tests.dock.rds.rig import PASSWORD, Dock, Instance, create

pytestmark = pytest.mark.dock


def refusal(method: Any, **parameters: Any) -> tuple[str, str]:
    """Code and message of the error that a call gets."""
    with pytest.raises(ClientError) as caught:
        method(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_created_instance_is_described_as_rds_does(instance: Instance) -> None:
    described = instance.describe()
    assert described["DBInstanceStatus"] == "available"
    assert (described["Engine"], described["EngineVersion"].split(".")[0]) == ("postgres", "15")
    assert re.fullmatch(r"db-[A-Z2-7]{26}", described["DbiResourceId"])
    assert described["DBInstanceArn"] == f"arn:aws:rds:{REGIONS[0]}:{ACCOUNTS[0]}:db:single"
    assert re.fullmatch(r"127\.\d+\.2\.\d+", described["Endpoint"]["Address"])
    assert described["Endpoint"]["Port"] == 5432
    assert described["DBParameterGroups"] == [
        {"DBParameterGroupName": "default.postgres15", "ParameterApplyStatus": "in-sync"}
    ]
    assert described["LatestRestorableTime"] >= described["InstanceCreateTime"]
    assert described["PendingModifiedValues"] == {}
    assert not described["MultiAZ"]
    assert "SecondaryAvailabilityZone" not in described


def test_the_waiters_of_the_sdk_work(instance: Instance) -> None:
    instance.rds.get_waiter("db_instance_available").wait(
        DBInstanceIdentifier="single", WaiterConfig={"Delay": 1, "MaxAttempts": 5}
    )


def test_the_installed_version_is_reported_exactly(instance: Instance) -> None:
    assert instance.query("SHOW server_version").split()[0] == instance.describe()["EngineVersion"]
    (version,) = instance.rds.describe_db_engine_versions(Engine="postgres")["DBEngineVersions"]
    assert version["EngineVersion"] == instance.describe()["EngineVersion"]


def test_psql_verifies_the_endpoints_certificate(instance: Instance) -> None:
    endpoint = instance.describe()["Endpoint"]
    answer = subprocess.run(
        ["psql", "-XAtc", "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"],
        env={
            **os.environ,
            "PGHOST": endpoint["Address"],
            "PGPORT": str(endpoint["Port"]),
            "PGUSER": "captain",
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": "chat",
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": instance.dock.authority,
        },
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert answer.stdout.strip() == "t|TLSv1.3", answer.stderr


def test_a_wrong_password_and_a_session_without_tls_are_refused(instance: Instance) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        instance.connect(password="Wrong-password-1")
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        instance.connect(sslmode="disable")


def test_filters_and_arns_find_instances(instance: Instance) -> None:
    described = instance.describe()
    for name, value in (
        ("db-instance-id", "single"),
        ("db-instance-id", described["DBInstanceArn"]),
        ("dbi-resource-id", described["DbiResourceId"]),
        ("engine", "postgres"),
    ):
        found = instance.rds.describe_db_instances(Filters=[{"Name": name, "Values": [value]}])["DBInstances"]
        assert "single" in [entry["DBInstanceIdentifier"] for entry in found], name
    assert instance.rds.describe_db_instances(DBInstanceIdentifier=described["DBInstanceArn"])["DBInstances"]
    assert not instance.rds.describe_db_instances(Filters=[{"Name": "engine", "Values": ["mysql"]}])["DBInstances"]
    code, _ = refusal(instance.rds.describe_db_instances, Filters=[{"Name": "nonsense", "Values": ["x"]}])
    assert code == "InvalidParameterValue"


def test_another_account_and_another_region_see_nothing(instance: Instance) -> None:
    for account, region in ((ACCOUNTS[1], REGIONS[0]), (ACCOUNTS[0], REGIONS[1])):
        client = instance.dock.client(account=account, region=region)
        assert client.describe_db_instances()["DBInstances"] == []
        assert refusal(client.describe_db_instances, DBInstanceIdentifier="single")[0] == "DBInstanceNotFound"


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"Engine": "mysql"}, "InvalidParameterValue", "Invalid DB engine"),
        (
            {"EngineVersion": "17.2"},
            "InvalidParameterCombination",
            "Cannot find version 17.2 for postgres. The dock has 15.",
        ),
        ({"DBInstanceClass": "db.huge"}, "InvalidParameterValue", "Invalid DB Instance class"),
        ({"MasterUserPassword": "short"}, "InvalidParameterValue", "8 to 128"),
        ({"MasterUserPassword": 'has-a-"-in-it'}, "InvalidParameterValue", "printable ASCII"),
        ({"MasterUsername": "rdsadmin"}, "InvalidParameterValue", "reserved"),
        ({"MasterUsername": "pg_read_all_data"}, "InvalidParameterValue", "reserved"),
        ({"MasterUsername": 'x"; DROP'}, "InvalidParameterValue", "MasterUsername"),
        ({"DBName": "1st"}, "InvalidParameterValue", "DBName"),
        ({"DBName": "rdsadmin"}, "InvalidParameterValue", "DBName"),
        ({"DBInstanceIdentifier": "two--hyphens"}, "InvalidParameterValue", "not a valid identifier"),
        ({"DBInstanceIdentifier": "../escape"}, "InvalidParameterValue", "not a valid identifier"),
        ({"DBInstanceIdentifier": "single"}, "DBInstanceAlreadyExists", "already exists"),
        ({"AllocatedStorage": 1}, "InvalidParameterValue", "Invalid storage size"),
        ({"BackupRetentionPeriod": 36}, "InvalidParameterValue", "retention"),
        ({"Port": 22}, "InvalidParameterValue", "port"),
        ({"PreferredBackupWindow": "25:00-26:00"}, "InvalidParameterValue", "backup window"),
        ({"PreferredMaintenanceWindow": "sun:08:00-sun:08:10"}, "InvalidParameterValue", "maintenance window"),
        ({"DBParameterGroupName": "nowhere"}, "DBParameterGroupNotFound", "not found"),
        ({"DBSubnetGroupName": "nowhere"}, "DBSubnetGroupNotFoundFault", "does not exist"),
        ({"VpcSecurityGroupIds": ["sg-12345678"]}, "InvalidParameterValue", "security group"),
        ({"MultiAZ": True, "AvailabilityZone": f"{REGIONS[0]}a"}, "InvalidParameterCombination", "Multi-AZ"),
        ({"ManageMasterUserPassword": True}, "UnsupportedOperation", "ManageMasterUserPassword"),
        ({"TdeCredentialArn": "arn"}, "UnsupportedOperation", "TdeCredentialArn"),
        ({"LicenseModel": "bring-your-own-license"}, "InvalidParameterValue", "LicenseModel"),
    ],
)
def test_nonsense_is_refused_and_leaves_nothing(
    instance: Instance, wrong: dict[str, Any], code: str, words: str
) -> None:
    before = len(instance.rds.describe_db_instances()["DBInstances"])
    with pytest.raises(ClientError) as caught:
        create(instance.dock, **{"identifier": "wrong", **wrong})
    error = caught.value.response["Error"]
    assert error["Code"] == code
    assert words in error["Message"]
    assert PASSWORD not in error["Message"]
    assert len(instance.rds.describe_db_instances()["DBInstances"]) == before


def test_the_master_password_changes_at_once_and_is_nowhere_in_clear(instance: Instance) -> None:
    changed = "Canary-b81c-the-second"
    response = instance.rds.modify_db_instance(DBInstanceIdentifier="single", MasterUserPassword=changed)
    assert changed not in str(response)
    instance.wait()
    assert instance.query("SELECT 1", password=changed) == 1
    with pytest.raises(psycopg.OperationalError):
        instance.connect()
    instance.rds.modify_db_instance(DBInstanceIdentifier="single", MasterUserPassword=PASSWORD)
    instance.wait()
    assert instance.query("SELECT 1") == 1
    assert "Reset master credentials" in instance.messages()
    # Everything that the dock has written, PostgreSQL's data included.
    for canary in (PASSWORD, changed):
        files = subprocess.run(["grep", "-rlF", canary, instance.dock.home.parent], capture_output=True, text=True)
        assert files.stdout == ""
    arguments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(PASSWORD.encode() in line for line in arguments)
    assert not list((instance.dock.home / "rds").glob("*.verifier"))


def test_a_new_identifier_keeps_data_and_endpoint(instance: Instance) -> None:
    before = instance.describe()
    instance.rds.modify_db_instance(
        DBInstanceIdentifier="single", NewDBInstanceIdentifier="renamed", ApplyImmediately=True
    )
    renamed = Instance(instance.dock, "renamed")
    after = renamed.wait()
    assert refusal(instance.rds.describe_db_instances, DBInstanceIdentifier="single")[0] == "DBInstanceNotFound"
    assert after["DbiResourceId"] == before["DbiResourceId"]
    assert after["Endpoint"] == before["Endpoint"]
    instance.rds.modify_db_instance(
        DBInstanceIdentifier="renamed", NewDBInstanceIdentifier="single", ApplyImmediately=True
    )
    instance.wait()


def test_what_waits_for_the_maintenance_window_is_shown_as_pending(instance: Instance) -> None:
    instance.rds.modify_db_instance(DBInstanceIdentifier="single", DBInstanceClass="db.t4g.medium")
    described = instance.wait()
    assert described["DBInstanceClass"] == "db.t4g.micro"
    assert described["PendingModifiedValues"] == {"DBInstanceClass": "db.t4g.medium"}
    instance.rds.modify_db_instance(DBInstanceIdentifier="single", DBInstanceClass="db.t4g.micro")
    assert instance.wait()["PendingModifiedValues"] == {}


def test_another_class_changes_what_follows_from_its_memory(instance: Instance) -> None:
    def connections() -> int:
        return int(instance.query("SHOW max_connections"))

    small = connections()
    instance.rds.modify_db_instance(
        DBInstanceIdentifier="single", DBInstanceClass="db.t4g.small", ApplyImmediately=True
    )
    assert instance.wait()["DBInstanceClass"] == "db.t4g.small"
    assert connections() == 2 * small + 1 or connections() == 2 * small
    instance.rds.modify_db_instance(
        DBInstanceIdentifier="single", DBInstanceClass="db.t4g.micro", ApplyImmediately=True
    )
    instance.wait()
    assert connections() == small


def test_another_port_moves_the_endpoint(instance: Instance) -> None:
    instance.rds.modify_db_instance(DBInstanceIdentifier="single", DBPortNumber=6543)
    assert instance.wait()["Endpoint"]["Port"] == 6543
    assert instance.query("SELECT 1") == 1
    with pytest.raises(psycopg.OperationalError):
        instance.connect(port=5432)
    instance.rds.modify_db_instance(DBInstanceIdentifier="single", DBPortNumber=5432)
    assert instance.wait()["Endpoint"]["Port"] == 5432


def test_storage_only_grows(instance: Instance) -> None:
    code, message = refusal(
        instance.rds.modify_db_instance, DBInstanceIdentifier="single", AllocatedStorage=20, StorageType="io1"
    )
    assert code == "InvalidParameterValue", message
    instance.rds.modify_db_instance(DBInstanceIdentifier="single", AllocatedStorage=25, ApplyImmediately=True)
    assert instance.wait()["AllocatedStorage"] == 25
    code, _ = refusal(instance.rds.modify_db_instance, DBInstanceIdentifier="single", AllocatedStorage=20)
    assert code == "InvalidParameterCombination"


def test_a_stopped_instance_refuses_sessions_and_comes_back_with_its_rows(instance: Instance) -> None:
    instance.execute("CREATE TABLE kept AS SELECT 42 AS n")
    instance.rds.stop_db_instance(DBInstanceIdentifier="single")
    instance.wait("stopped")
    with pytest.raises(psycopg.OperationalError):
        instance.connect()
    assert refusal(instance.rds.reboot_db_instance, DBInstanceIdentifier="single")[0] == "InvalidDBInstanceState"
    instance.rds.start_db_instance(DBInstanceIdentifier="single")
    instance.wait()
    assert instance.query("SELECT n FROM kept") == 42


def test_a_reboot_restarts_the_server_and_failover_needs_multi_az(instance: Instance) -> None:
    before = instance.query("SELECT pg_postmaster_start_time()")
    code, message = refusal(instance.rds.reboot_db_instance, DBInstanceIdentifier="single", ForceFailover=True)
    assert (code, "Multi-AZ" in message) == ("InvalidParameterCombination", True)
    instance.rds.reboot_db_instance(DBInstanceIdentifier="single")
    instance.wait()
    assert instance.query("SELECT pg_postmaster_start_time()") > before
    assert instance.messages()[-1] == "DB instance restarted"


def test_a_killed_primary_without_a_standby_recovers_in_place(instance: Instance) -> None:
    instance.execute("CREATE TABLE survivor AS SELECT 7 AS n")
    os.kill(instance.nodes()["primary"]["pid"], 9)

    instance.answer()
    assert instance.query("SELECT n FROM survivor") == 7
    messages = instance.messages()
    assert any(message.startswith("Recovery of the DB instance has started") for message in messages)
    assert "Recovery of the DB instance is complete." in messages


def test_tags_are_added_replaced_and_removed(instance: Instance) -> None:
    arn = instance.describe()["DBInstanceArn"]
    instance.rds.add_tags_to_resource(
        ResourceName=arn, Tags=[{"Key": "team", "Value": "deck"}, {"Key": "tier", "Value": "1"}]
    )
    instance.rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "tier", "Value": "2"}])
    expected = [{"Key": "team", "Value": "deck"}, {"Key": "tier", "Value": "2"}]
    assert instance.rds.list_tags_for_resource(ResourceName=arn)["TagList"] == expected
    assert instance.describe()["TagList"] == expected
    instance.rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["team", "tier"])
    assert instance.describe()["TagList"] == []
    assert refusal(instance.rds.list_tags_for_resource, ResourceName=f"{arn}x")[0] == "DBInstanceNotFound"


def test_a_protected_instance_is_not_deleted(dock: Dock) -> None:
    protected = create(dock, "protected", DeletionProtection=True)
    protected.wait()
    code, message = refusal(protected.rds.delete_db_instance, DBInstanceIdentifier="protected", SkipFinalSnapshot=True)
    assert (code, "protected" in message) == ("InvalidParameterCombination", True)
    protected.rds.modify_db_instance(DBInstanceIdentifier="protected", DeletionProtection=False)
    code, message = refusal(protected.rds.delete_db_instance, DBInstanceIdentifier="protected")
    assert (code, "FinalDBSnapshotIdentifier is required" in message) == ("InvalidParameterCombination", True)
    resource = protected.describe()["DbiResourceId"]
    answer = protected.rds.delete_db_instance(DBInstanceIdentifier="protected", SkipFinalSnapshot=True)
    assert answer["DBInstance"]["DBInstanceStatus"] == "deleting"
    protected.rds.get_waiter("db_instance_deleted").wait(
        DBInstanceIdentifier="protected", WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    assert not (dock.home / "rds" / resource).exists()
    assert [entry["name"] for entry in dock.status()] == ["single"] or dock.status() == []


def test_what_rds_does_but_the_dock_does_not_is_refused(instance: Instance) -> None:
    code, message = refusal(
        instance.rds.restore_db_instance_to_point_in_time,
        SourceDBInstanceIdentifier="single",
        TargetDBInstanceIdentifier="restored",
        UseLatestRestorableTime=True,
    )
    assert code == "UnsupportedOperation"
    assert "RestoreDBInstanceToPointInTime" in message
