from tests.components.build import build


def test_people_are_told_of_what_is_spent_and_of_what_will_be():
    notifications = build("budget", "Budget").one("budgets/budget:Budget").inputs["notifications"]
    assert [(each["notificationType"], each["threshold"]) for each in notifications] == [
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    ]
    assert all(each["subscriberEmailAddresses"] == ["platform@example.com"] for each in notifications)


def test_only_what_carries_every_tag_counts():
    budget = build("budget", "Budget").one("budgets/budget:Budget").inputs
    assert (budget["limitAmount"], budget["limitUnit"], budget["timeUnit"]) == ("500", "USD", "MONTHLY")
    assert budget["filterExpression"]["ands"] == [
        {"tags": {"key": "environment", "values": ["test"]}},
        {"tags": {"key": "platform", "values": ["chatvrm"]}},
    ]


def test_without_tags_the_whole_account_counts():
    budget = build("budget", "Budget", tags={}).one("budgets/budget:Budget").inputs
    assert "filterExpression" not in budget
