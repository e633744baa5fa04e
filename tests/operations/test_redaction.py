from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import pytest

from operations import redaction
from operations.deadline import Deadline, within
from operations.redaction import clean, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://chat_app:s3cr3t@127.0.0.1/chat", "postgresql://chat_app:***@127.0.0.1/chat"),
        ("rediss://:s3cr3t@127.0.0.1:6379", "rediss://:***@127.0.0.1:6379"),
        ("postgresql://u:a@b@h/d", "postgresql://u:***@h/d"),
        ("password=s3cr3t host=x", "password=*** host=x"),
        ("password = 's3 cr3t' host=x", "password = *** host=x"),
        ('{"auth_token": "s3cr3t", "port": 1}', '{"auth_token": ***, "port": 1}'),
        ("DB_PASSWORD: s3cr3t", "DB_PASSWORD: ***"),
        ("secret: arn:aws:secretsmanager:us-east-1:1:secret:x", "secret: arn:aws:secretsmanager:us-east-1:1:secret:x"),
        ("arn:aws:secretsmanager:us-east-1:1:secret:database-aB3:password::", None),
        (
            "secret=arn:aws:ssm:us-east-1:1:parameter/x, token=s3cr3t",
            "secret=arn:aws:ssm:us-east-1:1:parameter/x, token=***",
        ),
        ("password authentication failed for user chat_app", "password authentication failed for user chat_app"),
        ("http://127.0.0.1:8080/a?b=c", "http://127.0.0.1:8080/a?b=c"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str | None) -> None:
    assert redact(text) == (shown if shown is not None else text)


def test_a_document_is_cleaned_string_by_string_and_by_the_names_of_its_keys() -> None:
    arn = "arn:aws:secretsmanager:us-east-1:1:secret:database-aB3"
    document = {
        "application_secret": arn,
        "auth_token": "s3cr3t",
        "lines": ["password=s3cr3t", 5, None, True],
        "nested": {"valueFrom": f"{arn}:password::"},
    }
    assert clean(document) == document | {"auth_token": "***", "lines": ["password=***", 5, None, True]}


@pytest.mark.parametrize("shape", ["{}", '{{"said": {}}}', "https://x/?q={}", "b'{}'"])
def test_a_remembered_secret_is_hidden_however_it_is_written(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_remembered", set())
    canary = 'canary "quoted" \\ and/more'
    redaction.remember(canary)
    for written in (
        canary,
        json.dumps(canary)[1:-1],
        quote(canary, safe=""),
        base64.b64encode(canary.encode()).decode(),
    ):
        assert written not in redact(shape.format(written))


def test_a_short_value_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_remembered", set())
    redaction.remember("chat")
    assert redact("chat") == "chat"


def test_a_known_secret_is_hidden_wherever_it_stands() -> None:
    assert redact("it said canary, twice: canary", "canary", "") == "it said ***, twice: ***"


def test_a_call_that_hangs_ends_at_its_limit() -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer in 0\.1 s"):
        within(0.1, lambda: time.sleep(5))
    assert time.monotonic() - start < 2


def test_a_call_s_result_and_its_error_come_through() -> None:
    assert within(5, lambda: 7) == 7
    assert within(5, lambda: None) is None
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


def test_a_deadline_does_not_sleep_beyond_itself() -> None:
    deadline = Deadline(0.05)
    start = time.monotonic()
    deadline.pause(10)
    assert time.monotonic() - start < 2
    assert deadline.passed
    assert deadline.left == 0
