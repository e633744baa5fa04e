"""Structured logs: one JSON object a line on standard output, with the request's id and without secrets."""

import json
import logging
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """`constants` are on every line. `secrets` are cut out of the finished line, so no call has to remember."""

    def __init__(self, constants: dict[str, str], secrets: Iterable[str]) -> None:
        super().__init__()
        self._constants = constants
        spellings = {
            spelling for secret in secrets for spelling in (secret, json.dumps(secret, ensure_ascii=False)[1:-1])
        }
        self._secrets = sorted((spelling for spelling in spellings if spelling), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._constants,
        }
        if current := request_id.get():
            line["request_id"] = current
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = json.dumps(line, default=str, ensure_ascii=False)
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text


class Sparing(logging.Filter):
    """At most one line in `seconds`: a pool says for each attempt that the database is away, many times a second."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds, self._next = seconds, 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.created < self._next:
            return False
        self._next = record.created + self._seconds
        return True


def configure(*, level: str, constants: dict[str, str], secrets: Iterable[str]) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(constants, secrets))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Their routine lines ("connection requested from pool") say nothing at INFO that our own lines don't.
    for name in ("psycopg.pool", "uvicorn", "httpx", "alembic"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    logging.getLogger("psycopg.pool").addFilter(Sparing(10.0))
