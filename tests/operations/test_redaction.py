from __future__ import annotations

import time

import pytest

from operations.deadline import Deadline, within
from operations.redaction import redact


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
        ("password authentication failed for user chat_app", "password authentication failed for user chat_app"),
        ("http://127.0.0.1:8080/a?b=c", "http://127.0.0.1:8080/a?b=c"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown


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
