"""Every file in `types/` against the SDK, against the service's own model, and against what the program relies on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jmespath
import pytest
from botocore import model, session

from dock.providers import sdk
from dock.providers.declaration import (
    Declaration,
    DeclarationError,
    Read,
    Step,
    declaration,
    parse,
    schema_file,
    tokens,
)
from dock.providers.schema import load
from dock.providers.tagging import services

SCHEMA = schema_file("aws")
# What the program uses. `replace` can't be changed in place, `computed` the cloud chooses when the program doesn't,
# `secret` is never shown. After the vendor's own documentation of each property.
PROGRAM: dict[str, dict[str, str]] = {
    "aws:ec2/vpc:Vpc": {"replace": "cidrBlock", "place": "enableDnsSupport enableDnsHostnames"},
    "aws:ec2/subnet:Subnet": {
        "replace": "vpcId cidrBlock availabilityZone",
        "place": "mapPublicIpOnLaunch",
        "computed": "availabilityZone",
    },
    "aws:ec2/internetGateway:InternetGateway": {"place": "vpcId", "computed": "vpcId"},
    "aws:ec2/eip:Eip": {"replace": "domain"},
    "aws:ec2/natGateway:NatGateway": {"replace": "subnetId allocationId connectivityType"},
    "aws:ec2/routeTable:RouteTable": {"replace": "vpcId", "place": "routes", "computed": "routes"},
    "aws:ec2/route:Route": {"replace": "routeTableId destinationCidrBlock", "place": "gatewayId natGatewayId"},
    "aws:ec2/routeTableAssociation:RouteTableAssociation": {"replace": "subnetId routeTableId"},
    "aws:ec2/vpcEndpoint:VpcEndpoint": {
        "replace": "vpcId serviceName vpcEndpointType",
        "place": "routeTableIds",
        "computed": "serviceName routeTableIds",
    },
    "aws:ec2/securityGroup:SecurityGroup": {"replace": "name description vpcId", "computed": "vpcId"},
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {
        "replace": "securityGroupId",
        "place": "description ipProtocol fromPort toPort cidrIpv4 referencedSecurityGroupId",
    },
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": {
        "replace": "securityGroupId",
        "place": "description ipProtocol fromPort toPort cidrIpv4 referencedSecurityGroupId",
    },
    "aws:kms/key:Key": {
        "place": "description policy enableKeyRotation deletionWindowInDays",
        "computed": "description policy",
    },
    "aws:kms/alias:Alias": {"replace": "name", "place": "targetKeyId"},
    "aws:ecr/repository:Repository": {
        "replace": "name encryptionConfigurations",
        "place": "imageTagMutability imageScanningConfiguration forceDelete",
        "computed": "encryptionConfigurations",
    },
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": {"replace": "repository policy"},
    "aws:secretsmanager/secret:Secret": {
        "replace": "name",
        "place": "description kmsKeyId recoveryWindowInDays",
        "computed": "kmsKeyId",
    },
    "aws:secretsmanager/secretVersion:SecretVersion": {"replace": "secretId secretString", "secret": "secretString"},
    "aws:iam/role:Role": {"replace": "name", "place": "description assumeRolePolicy"},
    "aws:iam/rolePolicy:RolePolicy": {"replace": "name role", "place": "policy"},
    "aws:appautoscaling/target:Target": {
        "replace": "serviceNamespace resourceId scalableDimension",
        "place": "minCapacity maxCapacity suspendedState",
        "computed": "roleArn suspendedState",
    },
    "aws:appautoscaling/policy:Policy": {
        "replace": "name serviceNamespace resourceId scalableDimension policyType",
        "place": "targetTrackingScalingPolicyConfiguration stepScalingPolicyConfiguration",
    },
    "aws:appautoscaling/scheduledAction:ScheduledAction": {
        "replace": "name serviceNamespace resourceId scalableDimension",
        "place": "schedule timezone startTime endTime scalableTargetAction",
    },
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": {
        "replace": "name logGroupName",
        "place": "pattern metricTransformation",
    },
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        "replace": "name",
        "place": "alarmDescription actionsEnabled okActions alarmActions insufficientDataActions metricName namespace "
        "statistic extendedStatistic dimensions period unit evaluationPeriods datapointsToAlarm threshold "
        "comparisonOperator treatMissingData evaluateLowSampleCountPercentiles metricQueries",
    },
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": {
        "replace": "alarmName actionsEnabled",
        "place": "alarmDescription alarmRule okActions alarmActions insufficientDataActions actionsSuppressor",
    },
    "aws:cloudwatch/dashboard:Dashboard": {"replace": "dashboardName", "place": "dashboardBody"},
    "aws:sns/topic:Topic": {
        "replace": "name fifoTopic",
        "place": "displayName policy deliveryPolicy kmsMasterKeyId signatureVersion tracingConfig "
        "contentBasedDeduplication",
        "computed": "policy signatureVersion tracingConfig",
    },
    "aws:sns/topicPolicy:TopicPolicy": {"replace": "arn", "place": "policy"},
    "aws:sns/topicSubscription:TopicSubscription": {
        "replace": "topic protocol endpoint",
        "place": "rawMessageDelivery filterPolicy filterPolicyScope redrivePolicy deliveryPolicy subscriptionRoleArn",
        "computed": "filterPolicyScope",
    },
    "aws:cloudwatch/logGroup:LogGroup": {"replace": "name", "place": "kmsKeyId retentionInDays"},
    "aws:ecs/cluster:Cluster": {"replace": "name", "place": "settings", "computed": "settings"},
    "aws:ecs/taskDefinition:TaskDefinition": {
        "replace": "family containerDefinitions cpu memory networkMode requiresCompatibilities runtimePlatform "
        "executionRoleArn taskRoleArn",
        "computed": "networkMode",
    },
    "aws:ecs/service:Service": {
        "replace": "name cluster launchType schedulingStrategy",
        "place": "taskDefinition desiredCount platformVersion deploymentMinimumHealthyPercent deploymentMaximumPercent "
        "deploymentCircuitBreaker availabilityZoneRebalancing healthCheckGracePeriodSeconds networkConfiguration "
        "loadBalancers enableEcsManagedTags propagateTags enableExecuteCommand waitForSteadyState",
        "computed": "cluster launchType platformVersion availabilityZoneRebalancing",
    },
    "aws:lb/loadBalancer:LoadBalancer": {
        "replace": "name loadBalancerType internal",
        "place": "securityGroups subnets dropInvalidHeaderFields desyncMitigationMode idleTimeout "
        "enableDeletionProtection",
        "computed": "internal securityGroups subnets dropInvalidHeaderFields desyncMitigationMode idleTimeout "
        "enableDeletionProtection",
    },
    "aws:lb/targetGroup:TargetGroup": {
        "replace": "name vpcId port protocol targetType",
        "place": "deregistrationDelay loadBalancingAlgorithmType healthCheck",
        "computed": "deregistrationDelay loadBalancingAlgorithmType healthCheck",
    },
    "aws:lb/listener:Listener": {
        "replace": "loadBalancerArn",
        "place": "port protocol certificateArn sslPolicy defaultActions",
        "computed": "protocol sslPolicy",
    },
    "aws:route53/zone:Zone": {
        "replace": "name",
        "place": "comment enableAcceleratedRecovery forceDestroy",
        "computed": "enableAcceleratedRecovery",
    },
    "aws:route53/record:Record": {
        "replace": "zoneId name type setIdentifier",
        "place": "ttl records aliases healthCheckId failoverRoutingPolicies",
    },
    "aws:route53/healthCheck:HealthCheck": {
        "replace": "type requestInterval measureLatency",
        "place": "fqdn port resourcePath failureThreshold enableSni childHealthchecks childHealthThreshold "
        "cloudwatchAlarmName cloudwatchAlarmRegion insufficientDataHealthStatus",
        "computed": "port requestInterval failureThreshold enableSni insufficientDataHealthStatus",
    },
    "aws:rds/subnetGroup:SubnetGroup": {"replace": "name", "place": "description subnetIds"},
    "aws:rds/parameterGroup:ParameterGroup": {"replace": "name family description", "place": "parameters"},
    "aws:rds/instance:Instance": {
        "replace": "engine dbName username storageEncrypted kmsKeyId engineLifecycleSupport",
        "place": "identifier engineVersion instanceClass password port allocatedStorage maxAllocatedStorage "
        "storageType multiAz dbSubnetGroupName vpcSecurityGroupIds parameterGroupName publiclyAccessible "
        "caCertIdentifier "
        "backupRetentionPeriod backupWindow maintenanceWindow deleteAutomatedBackups copyTagsToSnapshot "
        "deletionProtection skipFinalSnapshot finalSnapshotIdentifier autoMinorVersionUpgrade allowMajorVersionUpgrade "
        "applyImmediately iamDatabaseAuthenticationEnabled performanceInsightsEnabled performanceInsightsKmsKeyId "
        "performanceInsightsRetentionPeriod databaseInsightsMode enabledCloudwatchLogsExports",
        "computed": "engineVersion dbName username port allocatedStorage storageType kmsKeyId multiAz "
        "dbSubnetGroupName vpcSecurityGroupIds parameterGroupName caCertIdentifier backupRetentionPeriod "
        "backupWindow maintenanceWindow "
        "applyImmediately performanceInsightsKmsKeyId performanceInsightsRetentionPeriod databaseInsightsMode "
        "engineLifecycleSupport",
        "secret": "password passwordWo",
    },
    "aws:elasticache/subnetGroup:SubnetGroup": {"replace": "name", "place": "description subnetIds"},
    "aws:elasticache/parameterGroup:ParameterGroup": {"replace": "name family description", "place": "parameters"},
    "aws:elasticache/replicationGroup:ReplicationGroup": {
        "replace": "replicationGroupId engine port subnetGroupName atRestEncryptionEnabled kmsKeyId",
        "place": "description engineVersion nodeType numCacheClusters automaticFailoverEnabled multiAzEnabled "
        "securityGroupIds parameterGroupName transitEncryptionEnabled transitEncryptionMode authToken "
        "authTokenUpdateStrategy snapshotRetentionLimit snapshotWindow maintenanceWindow finalSnapshotIdentifier "
        "autoMinorVersionUpgrade applyImmediately",
        "computed": "engineVersion nodeType port numCacheClusters subnetGroupName securityGroupIds parameterGroupName "
        "transitEncryptionEnabled transitEncryptionMode atRestEncryptionEnabled snapshotWindow maintenanceWindow "
        "autoMinorVersionUpgrade applyImmediately",
        "secret": "authToken authTokenWo",
    },
    "aws:ssm/parameter:Parameter": {
        "replace": "name",
        "place": "type tier insecureValue description",
        "computed": "insecureValue",
        "secret": "value valueWo",
    },
}
ROWS = [
    (token, kind, name)
    for token, row in PROGRAM.items()
    for kind in ("replace", "place")
    for name in row.get(kind, "").split()
]


@pytest.mark.parametrize(
    ("token", "kind", "name"), ROWS, ids=[f"{token.split(':')[-1]}-{name}" for token, _, name in ROWS]
)
def test_a_property_of_the_program_is_replaced_computed_and_secret_as_upstream_has_it(
    token: str, kind: str, name: str
) -> None:
    declared = declaration(token)
    assert declared is not None
    known = declared.properties[name]
    assert known.replace is (kind == "replace")
    assert known.computed is (name in PROGRAM[token].get("computed", "").split())
    assert (name in declared.secret) is (name in PROGRAM[token].get("secret", "").split())


@pytest.mark.parametrize("token", PROGRAM)
def test_the_secrets_of_a_type_are_those_of_the_table(token: str) -> None:
    declared = declaration(token)
    assert declared is not None
    assert declared.secret - {"secretBinary", "secretStringWo"} == set(PROGRAM[token].get("secret", "").split())


def test_the_schema_file_is_what_the_installed_sdk_says() -> None:
    assert SCHEMA.read_text() == sdk.generate("aws"), "run python -m dock.providers.aws.sdk"


def test_a_declaration_with_a_misspelt_key_is_refused() -> None:
    document = {"service": "ec2", "id": "a", "create": {"cal": "CreateVpc"}, "read": {}, "delete": [], "properties": {}}
    with pytest.raises(DeclarationError, match="Step has no cal"):
        parse("aws:ec2/vpc:Vpc", document, load(SCHEMA)["aws:ec2/vpc:Vpc"])


def test_a_declaration_of_a_property_that_the_sdk_lacks_is_refused() -> None:
    document = {"properties": {"cidrBlok": {}}}
    with pytest.raises(DeclarationError, match="cidrBlok"):
        parse("aws:ec2/vpc:Vpc", document, load(SCHEMA)["aws:ec2/vpc:Vpc"])


@pytest.mark.parametrize("token", tokens("aws"))
def test_every_expression_of_a_declaration_is_jmespath(token: str) -> None:
    for expression in expressions(known(token)):
        jmespath.compile(expression)
        # `!a.b` is `(!a).b`, which nobody means.
        assert not re.search(r"!\s*\w+\.", expression), expression


@pytest.mark.parametrize("token", tokens("aws"))
def test_every_call_and_every_parameter_is_one_of_the_service(token: str) -> None:
    declared = known(token)
    for step in [*declared.create, *declared.created, *declared.undo, *declared.update, *declared.delete]:
        members = shape(step.service or declared.service, step.call)
        sent = {declared.properties[name].api.split(".")[0] or name for name in step.send if name != "changed"}
        assert members >= set(step.parameters) | sent, step.call
    for read in [declared.read, *declared.read.also.values()]:
        assert shape(read.service or declared.service, read.call) >= set(read.parameters), read.call


@pytest.mark.parametrize("token", tokens("aws"))
def test_what_an_update_may_send_is_a_parameter_of_its_call(token: str) -> None:
    declared = known(token)
    for step in declared.update:
        if step.send != ("changed",):
            continue
        taken = {name for other in declared.update for name in other.when}
        names = step.when or [
            name for name, facts in declared.properties.items() if facts.api and not facts.replace and name not in taken
        ]
        members = shape(declared.service, step.call)
        explicit = set(step.spells)
        for name in set(names) & declared.schema.inputs.keys() - explicit:
            api = declared.properties[name].api.split(".")[0]
            assert not api or api in members, f"{step.call} does not take {name} as {api}"


@pytest.mark.parametrize("token", tokens("aws"))
def test_a_change_in_place_reaches_the_cloud(token: str) -> None:
    declared = known(token)
    taken = {name for step in declared.update for name in step.when}
    for name, facts in declared.properties.items():
        if (
            facts.replace
            or name not in declared.schema.inputs
            or name in INSTRUCTIONS
            or facts.read == f"self.inputs.{name}"
        ):
            continue
        steps = [step for step in declared.update if (name in step.when if name in taken else not step.when)]
        assert any(
            name in step.send
            or (step.send == ("changed",) and facts.api)
            or any(re.search(rf"\b{name}\b", text) for text in [*of_step(step), *sent_texts(declared, step)])
            for step in steps
        ), f"no step of the update says {name}"


def sent_texts(declared: Declaration, step: Step) -> list[str]:
    return [declared.properties[name].send for name in step.send if name != "changed"]


# What tells the provider how to do something, rather than how the resource is to be; and what only the cloud computes.
INSTRUCTIONS = {
    "allowOverwrite",
    "skipDestroy",
    "forceDelete",
    "forceDestroy",
    "forceDetachPolicies",
    "revokeRulesOnDelete",
    "deletionWindowInDays",
    "recoveryWindowInDays",
    "overwrite",
    "forceOverwriteReplicaSecret",
    "skipFinalSnapshot",
    "finalSnapshotIdentifier",
    "deleteAutomatedBackups",
    "applyImmediately",
    "trackLatest",
    "waitForSteadyState",
    "sigintRollback",
    "triggers",
    "preferredCacheClusterAzs",
    "authTokenUpdateStrategy",
    "arn",
}


@pytest.mark.parametrize("token", tokens("aws"))
def test_every_enumeration_is_within_the_services_own(token: str) -> None:
    declared = known(token)
    for name, facts in declared.properties.items():
        if not facts.enum or not facts.api or "." in facts.api:
            continue
        members = operation(declared.service, declared.create[0].call).input_shape.members
        wanted = members.get(facts.api)
        wanted = wanted.member if isinstance(wanted, model.ListShape) else wanted
        if getattr(wanted, "enum", None):
            assert set(facts.enum) <= set(wanted.enum), name


@pytest.mark.parametrize("token", tokens("aws"))
def test_every_default_fits_its_type_and_its_enumeration(token: str) -> None:
    declared = known(token)
    kinds = {"string": str, "integer": int, "boolean": bool}
    for name, facts in declared.properties.items():
        if facts.default is not None:
            kind = declared.schema.inputs[name]
            assert isinstance(facts.default, kinds[kind]), name
            assert not facts.enum or facts.default in facts.enum


@pytest.mark.parametrize("service", sorted(services("aws")))
def test_every_tagging_call_is_one_of_its_service(service: str) -> None:
    spec = services("aws")[service]
    for kind in ("add", "remove", "list"):
        if kind in spec and "{kind}" not in spec[kind]["call"]:
            assert shape(service, spec[kind]["call"]) >= set(spec[kind]["parameters"])


def known(token: str) -> Declaration:
    declared = declaration(token)
    assert declared is not None
    return declared


@cache
def service_model(service: str) -> Any:
    return session.get_session().get_service_model(service)


def operation(service: str, call: str) -> Any:
    return service_model(service).operation_model(call)


def shape(service: str, call: str) -> set[str]:
    taken = operation(service, call).input_shape
    return set(taken.members) if taken else set()


def expressions(declared: Declaration) -> Iterator[str]:
    yield declared.id
    for optional in (declared.canonical_id, declared.tags):
        if optional:
            yield optional
    for rule in declared.rules:
        yield rule.unless
        assert rule.property in declared.schema.inputs
    for step in (*declared.create, *declared.created, *declared.update, *declared.delete):
        yield from of_step(step)
    yield from of_read(declared.read)
    for facts in declared.properties.values():
        yield from (each for each in (facts.send, facts.read) if isinstance(each, str) and each)
    if declared.import_id:
        assert set(re.compile(declared.import_id).groupindex) <= declared.schema.inputs.keys()


def of_step(step: Step) -> Iterator[str]:
    yield from (each for each in (step.if_, step.each) if each)
    yield from templates(step.parameters)
    if step.wait:
        yield from (each for each in (step.wait.until, step.wait.if_, step.wait.fail, step.wait.progress) if each)


def of_read(read: Read) -> Iterator[str]:
    yield read.at
    yield from (each for each in (read.missing, read.if_) if each)
    yield from templates(read.parameters)
    for also in read.also.values():
        yield from of_read(also)


def templates(template: Any) -> Iterator[str]:
    if isinstance(template, str) and template.startswith("$"):
        yield template[1:]
    elif isinstance(template, dict):
        for item in template.values():
            yield from templates(item)
    elif isinstance(template, list):
        for item in template:
            yield from templates(item)
