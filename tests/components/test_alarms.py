import dataclasses

from tests.components.build import build
from tests.components.samples import SAMPLES, TOPIC


def alarms(**changes):
    return {each.inputs["name"]: each.inputs for each in build("alarms", "Alarms", **changes).of("MetricAlarm")}


def test_an_expression_is_watched_over_its_metrics_at_the_alarms_pace():
    alarm = alarms()["thing-errors"]
    *metrics, value = alarm["metricQueries"]
    assert [(each["id"], each["metric"]["metricName"], each["metric"]["stat"]) for each in metrics] == [
        ("requests", "RequestCount", "Sum"),
        ("failed", "HTTPCode_ELB_5XX_Count", "Sum"),
    ]
    assert {each["metric"]["period"] for each in metrics} == {60}
    assert (value["expression"], value["returnData"]) == ("100 * FILL(failed, 0) / requests", True)
    assert (alarm["evaluationPeriods"], alarm["datapointsToAlarm"], alarm["treatMissingData"]) == (5, 3, "notBreaching")


def test_a_single_metric_is_watched_as_such_with_its_percentile():
    alarm = alarms()["thing-slow"]
    assert (alarm["metricName"], alarm["extendedStatistic"], alarm["period"]) == ("DeploymentInProgress", "p95", 60)
    assert "metricQueries" not in alarm


def test_every_alarm_says_what_is_wrong_whom_it_concerns_and_what_to_open():
    for name, alarm in alarms().items():
        if name != "thing-deployment":
            assert alarm["alarmDescription"].endswith("Owner: somebody. Runbook: runbooks/verify.ipynb")


def test_an_alarm_tells_its_severitys_topic_when_it_fires_and_when_it_clears():
    alarm = alarms()["thing-errors"]
    assert alarm["alarmActions"] == alarm["okActions"] == [TOPIC]


def test_one_that_speaks_through_a_composite_tells_nobody_itself():
    quiet = [dataclasses.replace(each, severity=None) for each in SAMPLES["Alarms"]["alarms"]]
    assert alarms(alarms=quiet)["thing-errors"]["alarmActions"] == []


def test_a_composite_is_quiet_while_a_deployment_runs_and_the_mark_that_says_so_tells_nobody():
    run = build("alarms", "Alarms")
    composite = run.one("CompositeAlarm").inputs
    assert composite["alarmRule"] == 'ALARM("thing-errors") OR ALARM("thing-slow")'
    assert composite["actionsSuppressor"] == {"alarm": "thing-deployment", "waitPeriod": 60, "extensionPeriod": 60}
    mark = next(each.inputs for each in run.of("MetricAlarm") if each.inputs["name"] == "thing-deployment")
    # Deploying is no news, and a deployment that died must not keep anybody quiet.
    assert ("alarmActions" in mark, mark["treatMissingData"], mark["threshold"]) == (False, "notBreaching", 0)


def test_all_of_its_members_must_fire_where_it_says_so():
    composite = dataclasses.replace(SAMPLES["Alarms"]["composites"][0], fires="all", quiet_in_deployments=False)
    made = build("alarms", "Alarms", composites=[composite]).one("CompositeAlarm").inputs
    assert made["alarmRule"] == 'ALARM("thing-errors") AND ALARM("thing-slow")'
    assert "actionsSuppressor" not in made
