"""The platform's business figures in the log, in a format that a log store makes metrics of."""

import asyncio
import json
import logging

import pytest
from chat import report
from chat.logs import JsonFormatter
from chat.problems import Unavailable


def test_a_line_names_its_figures_and_carries_them() -> None:
    fields = report.line("chatvrm/local", {"VoiceQueueDepth": 3, "ActiveConversations": 0}, 1_000.5)
    assert fields["VoiceQueueDepth"] == 3
    assert fields["_aws"] == {
        "Timestamp": 1_000_500,
        "CloudWatchMetrics": [
            {
                "Namespace": "chatvrm/local",
                "Dimensions": [[]],
                "Metrics": [
                    {"Name": "VoiceQueueDepth", "Unit": "Count", "StorageResolution": 1},
                    {"Name": "ActiveConversations", "Unit": "Count", "StorageResolution": 1},
                ],
            }
        ],
    }


def test_a_figure_that_nobody_can_tell_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(report, "INTERVAL_SECONDS", 0.02)

    async def known() -> int:
        return 7

    async def away() -> int:
        raise Unavailable("the cache is away")

    async def run() -> None:
        reporting = asyncio.create_task(report.run("chatvrm/local", {"Known": known, "Away": away}))
        while not caplog.records:
            await asyncio.sleep(0.01)
        reporting.cancel()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    line = json.loads(JsonFormatter({"release": "1.0.0"}, []).format(caplog.records[0]))
    assert (line["Known"], "Away" in line) == (7, False)
    assert [each["Name"] for each in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]] == ["Known"]
