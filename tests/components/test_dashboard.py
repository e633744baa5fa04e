import json

from tests.components.build import build


def widgets():
    return json.loads(build("dashboard", "Dashboard").one("Dashboard", "-dashboard").inputs["dashboardBody"])["widgets"]


def test_it_shows_the_state_of_every_alarm_first():
    states = widgets()[0]
    assert (states["type"], states["properties"]["alarms"]) == (
        "alarm",
        ["arn:aws:cloudwatch:us-east-1:123456789012:alarm:errors"],
    )


def test_it_shows_what_an_alarm_decides_by_with_its_threshold():
    watched = widgets()[2]["properties"]
    assert watched["metrics"][-1] == [
        {"expression": "100 * FILL(failed, 0) / requests", "id": "value", "label": "percent"}
    ]
    assert watched["metrics"][0][:4] == ["AWS/ApplicationELB", "RequestCount", "A", "b"]
    assert watched["annotations"]["horizontal"] == [{"value": 1, "label": "above fires"}]


def test_no_two_of_its_widgets_overlap():
    taken = set()
    for each in widgets():
        cells = {
            (x, y)
            for x in range(each["x"], each["x"] + each["width"])
            for y in range(each["y"], each["y"] + each["height"])
        }
        assert not cells & taken
        taken |= cells
        assert each["x"] + each["width"] <= 24
