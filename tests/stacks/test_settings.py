"""Settings: what is refused, and what the person is told."""

from __future__ import annotations

import ast
import copy
import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stacks import settings
from stacks.domain import Part, minutes
from stacks.problems import SettingsError, _flat
from tests.stacks.files import PROJECT, STACKS, settings_of, stack_file


def production() -> dict[str, Any]:
    return copy.deepcopy(stack_file("production")["config"]["drydock:settings"])


def refused(document: Any, stack: str = "production") -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings.parse(json.dumps(document), stack)
    return caught.value.problems


def changed(path: str, value: Any) -> dict[str, Any]:
    document = production()
    group: Any = document
    *groups, last = path.split(".")
    for name in groups:
        group = group[int(name)] if isinstance(group, list) else group[name]
    group[last] = value
    return document


@pytest.mark.parametrize("stack", STACKS)
def test_the_stack_files_are_right(stack):
    assert settings_of(stack).environment == stack


def test_an_unknown_key_is_refused_and_the_right_one_is_suggested():
    document = changed("service.desired_cout", 4)
    assert refused(document) == [
        "drydock:settings.service.desired_cout: there is no such setting; did you mean desired_count?"
    ]


def test_an_unknown_key_that_resembles_none_shows_what_there_is():
    (problem,) = refused(changed("network.zebra", 4))
    assert problem.endswith("here are cidr, availability_zones, nat_gateways, existing")


def test_a_missing_key_says_what_belongs_there():
    document = production()
    del document["region"]
    assert refused(document) == ['drydock:settings.region: is missing; expected an AWS region, for example "us-east-1"']


def test_a_bool_that_is_a_text_is_refused():
    assert refused(changed("database.multi_az", "false")) == [
        'drydock:settings.database.multi_az: is "false"; expected true or false, without quotes'
    ]


def test_a_number_that_is_a_text_is_refused():
    (problem,) = refused(changed("service.desired_count", "4"))
    assert problem == (
        'drydock:settings.service.desired_count: is "4"; expected tasks: a whole number, 1 to 1000, for example 4'
    )


def test_an_account_without_quotes_is_refused():
    (problem, *_) = refused(changed("account", 123456789012))
    assert "12 digits, in quotes" in problem


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("service.desired_count", 0, "1 to 1000"),
        ("database.backup_retention_days", 36, "1 to 35"),
        ("cache.replicas", 6, "0 to 5"),
        ("protection.key_deletion_days", 6, "7 to 30"),
        ("listener.port", 70000, "1 to 65535"),
        ("network.cidr", "10.0.0.1/16", "host bits set"),
        ("network.cidr", "10.0.0.0/8", "a private IPv4 block, /16 to /24"),
        ("network.cidr", "fd00::/64", "IPv4"),
        ("network.availability_zones", ["us-east-1a"], "needs at least 2"),
        ("network.nat_gateways", "two", "one of none, one, one_per_zone"),
        ("database.version", "14", 'for example "15"'),
        ("database.version", 15, "in quotes"),
        ("database.instance_class", "t4g.micro", "db.t4g.medium"),
        ("database.backup_window", "7-8", "07:00-08:00"),
        ("service.log_retention_days", 8, "as CloudWatch Logs offers them"),
        ("calendar.windows.0.weekdays", ["Tue"], "a weekday in lower case"),
        ("calendar.windows.0.start", "25:00", "a time of day, in quotes"),
        ("service.variables", {"lower": "x"}, "a variable's name in upper case"),
        ("service.variables", {"NUMBER": 3}, "a text"),
        ("listener.certificate_arn", "abc", "the ARN of an ACM certificate"),
        ("policy", "strict", "a group with migrations, deploy_approvals, rollback_approvals"),
        ("platform", "muva9", "is not among chatvrm"),
        ("environment", "staging", "is not the stack's name, production"),
    ],
)
def test_a_value_out_of_range_says_what_is_expected(path, value, expected):
    problems = refused(changed(path, value))
    assert len(problems) == 1, problems
    assert expected in problems[0]
    assert path.split(".")[0] in problems[0]


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("recovery_region", "us-east-1", "must be another region"),
        ("network.availability_zones", ["us-east-1a", "us-west-2a"], "us-west-2a is not in region us-east-1"),
        ("network.availability_zones", ["us-east-1a", "us-east-1a"], "names a zone twice"),
        ("network.cidr", "8.8.0.0/16", "is public"),
        ("listener.hostname", None, "come together"),
        ("dns.zone", "other.com", "is not in zone other.com"),
        ("dns.zone_id", "Z0123456789", "accelerated_recovery is the existing zone's own matter"),
        ("dns.recovery_site.cidr", "10.30.16.0/20", "overlaps network.cidr"),
        ("dns.recovery_site.cidr", "8.8.0.0/20", "is public"),
        ("dns.recovery_site.availability_zones", ["us-west-2a", "us-east-1b"], "us-east-1b is not in region us-west-2"),
        ("dns.recovery_site.availability_zones", ["us-west-2a", "us-west-2a"], "names a zone twice"),
        ("dns.recovery_site.certificate_arn", None, "given if, and only if, listener.certificate_arn is"),
        ("listener.port", 8443, "0.0.0.0/0 lets everybody in"),
        ("service.memory", 1000, "Fargate combines cpu 1024 with 2048"),
        ("service.maximum_percent", 100, "could neither start nor stop"),
        ("service.variables", {"PORT": "1"}, "variables.PORT: the program sets it itself"),
        ("service.health_check.timeout_seconds", 10, "must be shorter than interval_seconds"),
        ("database.maximum_storage_gib", 210, "a tenth more"),
        ("database.backup_window", "08:00-09:00", "overlap"),
        ("database.maintenance_window", "sun:08:30-sun:08:45", "shorter than 30 minutes"),
        ("cache.snapshot_window", "23:50-00:10", "shorter than 30 minutes"),
        ("calendar.windows.0.end", "13:00", "start must be before end"),
        ("protection.secret_recovery_days", 3, "takes 7 to 30 days"),
        ("protection.secret_recovery_days", 0, "although data are protected"),
        ("database.final_snapshot", False, "database.final_snapshot is false although data are protected"),
        ("cache.final_snapshot", False, "cache.final_snapshot is false although data are protected"),
        (
            "listener.certificate_arn",
            "arn:aws:acm:us-west-2:123456789012:certificate/a",
            "of region us-east-1 and account 123456789012",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused_with_the_reason(path, value, reason):
    (problem,) = refused(changed(path, value))
    assert reason in problem


def test_protection_is_only_removed_by_saying_what_that_means():
    document = changed("protection.data", False)
    (problem,) = refused(document)
    assert 'confirm it with protection.acknowledgement: "chatvrm production may lose its data"' in problem
    document["protection"]["acknowledgement"] = "chatvrm local may lose its data"
    assert refused(document) == [problem]
    document["protection"]["acknowledgement"] = "chatvrm production may lose its data"
    assert settings.parse(json.dumps(document), "production").protection.data is False


def test_an_acknowledgement_without_a_loss_is_refused():
    (problem,) = refused(changed("protection.acknowledgement", "chatvrm production may lose its data"))
    assert "remove it" in problem


def test_everything_that_is_wrong_is_told_at_once_with_the_file_to_edit():
    document = changed("service.desired_count", 0)
    document["database"]["multi_az"] = "yes"
    del document["cache"]
    document["extra"] = 1
    with pytest.raises(SettingsError) as caught:
        settings.parse(json.dumps(document), "production")
    assert len(caught.value.problems) == 4
    said = str(caught.value)
    assert said.startswith("the settings can't be used:\n  - ")
    assert said.endswith("Edit Pulumi.production.yaml; docs/settings.md explains each key.")


@pytest.mark.parametrize("document", ["[]", "3", '"text"', "null", "{", ""])
def test_settings_that_are_no_object_are_refused(document):
    with pytest.raises(SettingsError):
        settings.parse(document, "production")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
                        ["platform", "network", "cidr", "service", "variables", "windows", "calendar", "x"]), inner),
                    max_leaves=8))  # fmt: skip
def test_no_nonsense_ends_in_anything_but_a_settings_error(document):
    with pytest.raises(SettingsError) as caught:
        settings.parse(json.dumps(document), "production")
    assert caught.value.problems


@given(st.data())
def test_one_wrong_leaf_never_passes_in_silence_and_is_named(data):
    document = production()
    group: Any = document
    path = []
    while isinstance(group, dict):
        name = data.draw(st.sampled_from(sorted(group)))
        path.append(name)
        parent, group = group, group[name]
    parent[path[-1]] = {"nonsense": 1}
    assert any(f"drydock:settings.{'.'.join(path)}" in problem for problem in refused(document))


def test_settings_can_not_be_changed_afterwards():
    with pytest.raises(ValidationError):
        settings_of("production").service.desired_count = 8


@pytest.mark.parametrize(
    ("window", "length"), [("07:00-08:00", 7 * 60), ("23:30-00:15", 7 * 45), ("sat:23:30-sun:00:30", 60)]
)
def test_windows_reach_over_midnight_and_the_end_of_the_week(window, length):
    assert len(minutes(window)) == length


@pytest.fixture
def configuration():
    """Sets the configuration of the running program, as the engine does."""
    from pulumi.runtime.config import CONFIG

    def set_all(values: dict[str, Any]) -> None:
        pulumi.runtime.set_all_config(values)

    before = CONFIG.get()
    yield set_all
    CONFIG.set(before)


def test_settings_are_read_from_the_stacks_configuration(configuration):
    configuration({"drydock:settings": json.dumps(production()), "pulumi:disable-default-providers": '["*"]'})
    assert settings.read("production") == settings_of("production")


def test_settings_outside_of_their_object_are_refused_together_with_the_rest(configuration):
    configuration({"drydock:settings": json.dumps(changed("cache.replicas", 9)), "drydock:region": "us-east-1"})
    with pytest.raises(SettingsError) as caught:
        settings.read("production")
    stray, wrong = caught.value.problems
    assert stray == "drydock:region: there is no such setting; everything is in drydock:settings"
    assert "cache.replicas" in wrong


def test_a_stack_without_settings_is_told_where_to_find_a_pattern(configuration):
    configuration({})
    with pytest.raises(SettingsError, match="drydock:settings is missing: take another stack's file as a pattern"):
        settings.read("production")


def test_nothing_but_the_settings_reads_the_configuration():
    readers = [
        str(path.relative_to(PROJECT))
        for path in [*Path(PROJECT / "stacks").rglob("*.py"), *Path(PROJECT / "components").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "pulumi.Config"
    ]
    assert readers == ["stacks/settings/reading.py"]


def keys(model: type[Part], prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        kinds = list(_flat(field.annotation))
        # A group that may be left out is explained as a whole.
        optional = type(None) in kinds
        groups = [each for each in kinds if not optional and isinstance(each, type) and issubclass(each, Part)]
        for group in groups:
            found += keys(group, f"{prefix}{name}.")
        if not groups:
            found.append(f"{prefix}{name}")
    return found


@pytest.mark.parametrize("model", [settings.Settings, settings.Control])
def test_every_key_is_explained_to_people(model):
    text = (PROJECT / "docs" / "settings.md").read_text()
    # `a.b`, `.c` names a.c too.
    unexplained = [key for key in keys(model) if f"`{key}`" not in text and f"`.{key.split('.')[-1]}`" not in text]
    assert unexplained == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("edge.hostname", "www.example.com", "hostname: www.example.com is not in zone chatvrm.com"),
        ("edge.hostname", "www.chatvrm.com", "users ask for www.chatvrm.com, but the listener's certificate is for"),
        ("edge.ssl", "flexible", "edge.ssl: flexible if, and only if, the listener has no certificate"),
        ("edge.rate_limits.api.period_seconds", 300, "as Cloudflare's Pro plan offers them"),
        ("edge.account_id", "123456789012", "an id of Cloudflare's"),
        ("edge.rate_limits", {}, "needs at least 1"),
    ],
)
def test_an_edge_fits_the_listener_and_its_plan(path, value, problem):
    assert any(problem in line for line in refused(changed(path, value)))


def test_the_edge_and_the_name_behind_it_are_two_names():
    document = changed("dns.record", "chatvrm.com")
    document["dns"]["zone"] = "chatvrm.com"
    assert any("the edge needs another name" in line for line in refused(document))


def test_an_environment_may_have_no_edge():
    document = changed("dns.record", "chatvrm.com")
    document["dns"]["zone"] = "chatvrm.com"
    del document["edge"]
    assert settings.parse(json.dumps(document), "production").edge is None
