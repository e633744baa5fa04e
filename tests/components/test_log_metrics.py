from tests.components.build import build


def test_a_line_that_matches_counts_one_and_silence_counts_none():
    made = build("log_metrics", "LogMetrics").one("LogMetricFilter").inputs
    assert (made["logGroupName"], made["pattern"]) == ("/a", "{ $.a = 1 }")
    assert made["metricTransformation"] == {
        "name": "Failed",
        "namespace": "chatvrm/test",
        "value": "1",
        "defaultValue": "0",
        "unit": "Count",
    }
