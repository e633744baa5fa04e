"""Formulas, windows and pages, without an engine."""

from __future__ import annotations

import datetime as dt

import pytest

from dock.aws.models import service_model
from dock.aws.rds import Rds, checks, classes
from dock.aws.rds.records import page
from dock.aws.rds.upkeep import within
from dock.aws.service import AwsError

GIB = 1024**3


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("LEAST({DBInstanceClassMemory/9531392},5000)", "112"),
        ("{DBInstanceClassMemory/32768}", "32768"),
        ("GREATEST({DBInstanceClassMemory*3/32768},200000)", "200000"),
        ("SUM({DBInstanceVCPU},1)", "3"),
        ("{AllocatedStorage/1073741824}", "20"),
    ],
)
def test_formulas_are_evaluated_as_rds_does(formula: str, value: str) -> None:
    assert classes.evaluate(formula, classes.instance_class("db.t4g.micro"), 20, 5432) == value


@pytest.mark.parametrize(
    "formula",
    [
        "{__import__('os').system('id')}",
        "{Memory}",
        "{1/0}",
        "LEAST()",
        "{9**9}",
        "{[1][0]}",
        "{True}",
        "{" * 400,
        "{1,2}",
    ],
)
def test_what_is_no_formula_is_refused(formula: str) -> None:
    with pytest.raises(ValueError, match="formula"):
        classes.evaluate(formula, classes.instance_class("db.t4g.micro"), 20, 5432)


def test_classes_have_the_memory_that_aws_publishes() -> None:
    for name, cpus, gib in (("db.t4g.micro", 2, 1), ("db.m6g.large", 2, 8), ("db.r6g.2xlarge", 8, 64)):
        found = classes.instance_class(name)
        assert (found.cpus, found.memory) == (cpus, gib * GIB)
    with pytest.raises(AwsError, match="Invalid DB Instance class"):
        classes.instance_class("db.t1.nano")


@pytest.mark.parametrize(
    ("window", "moment", "inside"),
    [
        ("06:00-06:30", "2026-11-21 06:29", True),
        ("06:00-06:30", "2026-11-21 06:30", False),
        ("23:45-00:15", "2026-11-21 00:10", True),
        ("sat:23:30-sun:00:30", "2026-11-22 00:10", True),
        ("sat:23:30-sun:00:30", "2026-11-21 00:10", False),
        ("sun:23:30-mon:00:30", "2026-11-23 00:10", True),
    ],
)
def test_windows_may_cross_midnight_and_the_week(window: str, moment: str, inside: bool) -> None:
    assert within(window, dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC)) is inside


@pytest.mark.parametrize(
    "window", ["", "06:00", "06:00-06:29", "24:00-25:00", "6:00-7:00", "sun:06:00-sun:07:00", "a-b"]
)
def test_a_wrong_backup_window_is_refused(window: str) -> None:
    with pytest.raises(AwsError, match="backup window"):
        checks.backup_window(window)


@pytest.mark.parametrize(
    "window", ["", "06:00-07:00", "sun:08:00-sun:08:10", "xyz:08:00-xyz:09:00", "sun:08:00-tue:08:00"]
)
def test_a_wrong_maintenance_window_is_refused(window: str) -> None:
    with pytest.raises(AwsError, match="maintenance window"):
        checks.maintenance_window(window)


@pytest.mark.parametrize(
    ("backup", "maintenance", "apart"),
    [
        ("06:00-06:30", "sun:08:00-sun:08:30", True),
        ("06:00-06:30", "sun:06:30-sun:07:00", True),
        ("06:00-06:30", "sun:06:15-sun:06:45", False),
        ("06:00-08:30", "sun:07:00-sun:07:30", False),
        ("23:45-00:15", "mon:00:00-mon:00:30", False),
        ("00:10-00:40", "sun:23:30-mon:00:30", False),
    ],
)
def test_the_windows_may_not_overlap(backup: str, maintenance: str, apart: bool) -> None:
    if apart:
        checks.windows_apart(backup, maintenance)
    else:
        with pytest.raises(AwsError, match="overlap"):
            checks.windows_apart(backup, maintenance)


def test_pages_cover_everything_once() -> None:
    items = list(range(250))
    seen: list[int] = []
    marker: dict[str, str] = {}
    while True:
        shown, marker = page(items, dict(marker))
        seen += shown
        if not marker:
            break
    assert seen == items
    for wrong in ({"MaxRecords": 5}, {"MaxRecords": 101}, {"Marker": "x"}):
        with pytest.raises(AwsError):
            page(items, wrong)


def test_every_declared_parameter_is_one_of_the_operation() -> None:
    model = service_model("rds")
    for name, declared in Rds.operations().items():
        shape = model.operation_model(name).input_shape
        assert shape is not None
        assert declared.acts | declared.records <= set(shape.members), name
        assert not declared.acts & declared.records, name
