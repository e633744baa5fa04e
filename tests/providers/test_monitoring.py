"""Alarms, dashboards and topics as a program declares them: made, changed, read again, imported, put right, removed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.providers.project import Project

pytestmark = [pytest.mark.engine, pytest.mark.dock]

QUEUE = "arn:aws:sqs:us-east-1:000000000001:pager"


def program(threshold: float = 1, wait: int = 60, title: str = "web", raw: bool = False, more: str = "") -> str:
    return f"""
import json
import pulumi
import pulumi_aws as aws

home = aws.Provider("home", region="us-east-1", allowed_account_ids=["000000000001"],
    default_tags={{"tags": {{"team": "a"}}}})
here = pulumi.ResourceOptions(provider=home)
topic = aws.sns.Topic("topic", name="pager", display_name="{title}", opts=here)
policy = topic.arn.apply(lambda arn: json.dumps({{"Version": "2012-10-17", "Statement": [{{"Sid": "alarms",
    "Effect": "Allow", "Principal": {{"Service": "cloudwatch.amazonaws.com"}}, "Action": "sns:Publish",
    "Resource": arn}}]}}))
aws.sns.TopicPolicy("policy", arn=topic.arn, policy=policy, opts=here)
aws.sns.TopicSubscription("queue", topic=topic.arn, protocol="sqs", endpoint="{QUEUE}", raw_message_delivery={raw},
    filter_policy=json.dumps({{"tier": ["one"]}}), opts=here)
cpu = aws.cloudwatch.MetricAlarm("cpu", name="web-cpu", namespace="AWS/ECS", metric_name="CPUUtilization",
    dimensions={{"ClusterName": "chat", "ServiceName": "web"}}, extended_statistic="p95", period=60,
    evaluation_periods=3, datapoints_to_alarm=2, threshold={threshold}, treat_missing_data="breaching",
    comparison_operator="GreaterThanThreshold", alarm_description="owner: web", alarm_actions=[topic.arn],
    ok_actions=[topic.arn], tags={{"tier": "1"}}, opts=here)
def stat(name):
    return {{"metric_name": name, "namespace": "AWS/ApplicationELB", "period": 60, "stat": "Sum",
        "dimensions": {{"LoadBalancer": "app/web/1"}}}}
errors = aws.cloudwatch.MetricAlarm("errors", name="web-errors", evaluation_periods=1, threshold={threshold},
    comparison_operator="GreaterThanOrEqualToThreshold", metric_queries=[
        {{"id": "errors", "metric": stat("HTTPCode_Target_5XX_Count")}},
        {{"id": "requests", "metric": stat("RequestCount")}},
        {{"id": "rate", "expression": "IF(requests > 10, 100 * errors / requests, 0)", "label": "rate",
            "return_data": True}}], opts=here)
deploying = aws.cloudwatch.MetricAlarm("deploying", name="deploying", namespace="App", metric_name="Deploying",
    statistic="Maximum", period=10, evaluation_periods=1, threshold=0, comparison_operator="GreaterThanThreshold",
    treat_missing_data="notBreaching", opts=here)
site = aws.cloudwatch.CompositeAlarm("site", alarm_name="web-site", alarm_actions=[topic.arn],
    alarm_rule=pulumi.Output.format("ALARM({{0}}) OR ALARM({{1}})", cpu.name, errors.name),
    actions_suppressor={{"alarm": deploying.name, "wait_period": {wait}, "extension_period": 30}}, opts=here)
board = aws.cloudwatch.Dashboard("board", dashboard_name="web", dashboard_body=json.dumps({{"widgets": [
    {{"type": "text", "properties": {{"markdown": "# {title}"}}}}]}}), opts=here)
pulumi.export("topic", topic.arn)
pulumi.export("cpu", cpu.arn)
pulumi.export("site", site.arn)
{more}
"""


@pytest.fixture(scope="module")
def shared(dock_url: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    project = Project.make(tmp_path_factory.mktemp("monitoring") / "project", dock_url)
    yield project
    project.pulumi("destroy", "--yes", "--skip-preview", code=None)


@pytest.fixture
def running(shared: Project, api: Any) -> Project:
    """The program, applied: what the test before this one did is put right first."""
    api("sqs").create_queue(QueueName="pager")
    shared.write(program())
    shared.up("--refresh")
    return shared


def alarm(api: Any, name: str) -> dict[str, Any]:
    answer = api("cloudwatch").describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    return dict([*answer["MetricAlarms"], *answer["CompositeAlarms"]][0])


def test_what_was_applied_is_there_and_applying_it_again_changes_nothing(running: Project, api: Any) -> None:
    outputs = running.outputs()
    cpu = alarm(api, "web-cpu")
    assert (cpu["ExtendedStatistic"], cpu["TreatMissingData"], cpu["AlarmActions"]) == (
        "p95",
        "breaching",
        [outputs["topic"]],
    )
    tags = api("cloudwatch").list_tags_for_resource(ResourceARN=outputs["cpu"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "a", "tier": "1"}
    assert [query["Id"] for query in alarm(api, "web-errors")["Metrics"]] == ["errors", "requests", "rate"]
    assert alarm(api, "web-site")["AlarmRule"] == "ALARM(web-cpu) OR ALARM(web-errors)"
    assert "# web" in api("cloudwatch").get_dashboard(DashboardName="web")["DashboardBody"]
    attributes = api("sns").get_topic_attributes(TopicArn=outputs["topic"])["Attributes"]
    assert json.loads(attributes["Policy"])["Statement"][0]["Sid"] == "alarms"
    (subscription,) = api("sns").list_subscriptions_by_topic(TopicArn=outputs["topic"])["Subscriptions"]
    assert subscription["Endpoint"] == QUEUE
    assert running.unchanged()
    assert "created" not in running.up("--refresh", "--expect-no-changes")


def test_changes_are_made_in_place(running: Project, api: Any) -> None:
    before = running.resources()
    running.write(program(threshold=2.5, wait=5, title="site", raw=True))
    assert "6 updated" in running.up()
    after = running.resources()
    assert {name: each.get("id") for name, each in before.items()} == {
        name: each.get("id") for name, each in after.items()
    }
    assert [alarm(api, name)["Threshold"] for name in ("web-cpu", "web-errors")] == [2.5, 2.5]
    assert alarm(api, "web-site")["ActionsSuppressorWaitPeriod"] == 5
    assert "# site" in api("cloudwatch").get_dashboard(DashboardName="web")["DashboardBody"]
    attributes = api("sns").get_subscription_attributes(SubscriptionArn=after["queue"]["id"])["Attributes"]
    assert attributes["RawMessageDelivery"] == "true"
    topic = api("sns").get_topic_attributes(TopicArn=after["topic"]["id"])["Attributes"]
    assert topic["DisplayName"] == "site"
    assert running.unchanged()


def test_what_somebody_else_changed_or_deleted_is_put_right(running: Project, api: Any) -> None:
    client = api("cloudwatch")
    cpu = alarm(api, "web-cpu")
    kept = ("AlarmName", "Namespace", "MetricName", "ExtendedStatistic", "Period", "ComparisonOperator")
    client.put_metric_alarm(**{key: cpu[key] for key in kept}, EvaluationPeriods=1, Threshold=99)
    client.delete_dashboards(DashboardNames=["web"])
    running.refresh()
    said = running.pulumi("preview", "--diff")
    assert "threshold : 99 => 1" in " ".join(said.split()).replace("threshold:", "threshold :")
    running.up()
    right = alarm(api, "web-cpu")
    assert (right["Threshold"], right["EvaluationPeriods"]) == (1, 3)
    assert client.get_dashboard(DashboardName="web")["DashboardBody"]
    assert running.unchanged()


def test_what_is_there_already_is_imported_without_a_change(running: Project, api: Any) -> None:
    api("cloudwatch").put_metric_alarm(
        AlarmName="theirs",
        Namespace="App",
        MetricName="Failed",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="LessThanThreshold",
        TreatMissingData="ignore",
    )
    imported = """
aws.cloudwatch.MetricAlarm("theirs", name="theirs", namespace="App", metric_name="Failed", statistic="Sum", period=60,
    evaluation_periods=1, threshold=0, comparison_operator="LessThanThreshold", treat_missing_data="ignore",
    opts=pulumi.ResourceOptions(provider=home, import_="theirs"))
"""
    running.write(program(more=imported))
    assert "imported" in running.up()
    running.write(program(more=imported.replace(', import_="theirs"', "")))
    assert running.unchanged()


def test_what_the_cloud_would_refuse_names_the_resource(running: Project) -> None:
    running.write(
        program(
            more="""
aws.cloudwatch.MetricAlarm("wrong", namespace="App", metric_name="a", statistic="Sum", period=45, threshold=1,
    evaluation_periods=1, comparison_operator="GreaterThanThreshold", opts=here)
"""
        )
    )
    assert "Period must be 10, 20, 30 or a multiple of 60" in running.up(code=None)


def test_destroying_leaves_nothing_behind(running: Project, api: Any) -> None:
    outputs = running.outputs()
    running.pulumi("destroy", "--yes", "--skip-preview")
    left = api("cloudwatch").describe_alarms(AlarmNamePrefix="web", AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    assert (left["MetricAlarms"], left["CompositeAlarms"]) == ([], [])
    assert api("cloudwatch").list_dashboards()["DashboardEntries"] == []
    with pytest.raises(ClientError, match="NotFound"):
        api("sns").get_topic_attributes(TopicArn=outputs["topic"])
