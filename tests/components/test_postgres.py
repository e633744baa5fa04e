import pytest

from tests.components.build import build


def instance(**changes):
    return build("postgres", "Postgres", **changes).one("Instance")


def test_what_aws_leaves_open_by_default_is_closed():
    made = instance().inputs
    assert made["publiclyAccessible"] is False
    assert made["storageEncrypted"] is True
    assert made["deleteAutomatedBackups"] is False
    assert made["copyTagsToSnapshot"] is True
    assert made["engineLifecycleSupport"] == "open-source-rds-extended-support-disabled"
    assert made["autoMinorVersionUpgrade"] is made["allowMajorVersionUpgrade"] is False


def test_the_password_is_a_secret_of_ours_and_not_rds_own():
    made = instance()
    assert "password" in made.inputs
    assert "manageMasterUserPassword" not in made.inputs


def test_parameters_are_stated_and_need_a_restart_only_where_postgresql_does():
    run = build("postgres", "Postgres", max_connections=150, slow_query_milliseconds=250)
    group = run.one("ParameterGroup").inputs
    assert (group["family"], group["name"]) == ("postgres15", "thing-postgres15")
    assert {each["name"]: (each["value"], each["applyMethod"]) for each in group["parameters"]} == {
        "max_connections": ("150", "pending-reboot"),
        "log_min_duration_statement": ("250", "immediate"),
        "log_lock_waits": ("1", "immediate"),
        "idle_in_transaction_session_timeout": ("60000", "immediate"),
        "rds.force_ssl": ("1", "immediate"),
    }
    assert run.one("Instance").inputs["parameterGroupName"] == "thing-postgres15"


@pytest.mark.parametrize(("insights", "days"), [("standard", 7), ("advanced", 465)])
def test_insights_keep_what_their_mode_asks_for(insights, days):
    made = instance(insights=insights).inputs
    assert (made["databaseInsightsMode"], made["performanceInsightsRetentionPeriod"]) == (insights, days)


def test_a_deletion_leaves_a_snapshot_behind_unless_told_otherwise():
    kept = instance().inputs
    assert (kept["skipFinalSnapshot"], kept["finalSnapshotIdentifier"]) == (False, "thing-final")
    lost = instance(final_snapshot=False).inputs
    assert lost["skipFinalSnapshot"] is True
    assert "finalSnapshotIdentifier" not in lost


@pytest.mark.parametrize("protect", [True, False])
def test_protection_is_pulumis_and_awss(protect):
    made = instance(protect=protect)
    assert made.protect is made.inputs["deletionProtection"] is protect


def test_its_log_is_there_before_it_and_ends():
    log = build("postgres", "Postgres").one("LogGroup").inputs
    assert (log["name"], log["retentionInDays"]) == ("/aws/rds/instance/thing/postgresql", 30)
