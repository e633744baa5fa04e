"""What users saw: one JSON line for each request and for each message that was acknowledged, in one folder."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

REQUESTS, MESSAGES, ACCOUNTS, FACTS = "requests.jsonl", "acknowledged.jsonl", "users.json", "traffic.json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: `at` is when it was due (seconds since the epoch), `seconds` how long the user waited from then.

    A request that could not be sent when it was due, because all its user's others hung, waited too: so a stall shows
    at its full length. `status` is None when there was no answer; `error` then says why.
    """

    at: float
    kind: str
    seconds: float
    status: int | None
    release: str = ""
    task: str = ""
    error: str = ""

    @property
    def failed(self) -> bool:
        return self.status is None or self.status >= 500


@dataclass(frozen=True, slots=True)
class Message:
    """One that the service acknowledged, and so promised to keep."""

    at: float
    user: str
    conversation: str
    number: int
    client_id: str


class Record:
    """A folder of one run. Lines are written as things happen: what a killed run leaves is complete up to then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, **facts: object) -> None:
        """Make the folder new. Raises FileExistsError when it holds another run's record."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / FACTS).exists():
            raise FileExistsError(f"{self.folder} holds another run's record")
        (self.folder / FACTS).write_text(json.dumps({"began": time.time(), **facts}, indent=2) + "\n")

    def writer(self) -> Writer:
        return Writer(self.folder)

    def answers(self) -> list[Answer]:
        """In the order in which they were due."""
        return sorted((Answer(**line) for line in _lines(self.folder / REQUESTS)), key=lambda answer: answer.at)

    def messages(self) -> list[Message]:
        return [Message(**line) for line in _lines(self.folder / MESSAGES)]

    @property
    def facts(self) -> dict[str, object]:
        """What the run was asked to do. Raises FileNotFoundError when the folder holds no record."""
        found: dict[str, object] = json.loads((self.folder / FACTS).read_text())
        return found

    def keep_users(self, users: dict[str, str]) -> None:
        """Names and passwords of the made-up users, so that their messages can be read back later."""
        path = self.folder / ACCOUNTS
        path.touch(mode=0o600)
        path.write_text(json.dumps(users))

    def users(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.folder / ACCOUNTS).read_text())
        return found


class Writer:
    """Appends to a record; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._requests: IO[str] = (folder / REQUESTS).open("a", buffering=1)
        self._messages: IO[str] = (folder / MESSAGES).open("a", buffering=1)

    def answer(self, answer: Answer) -> None:
        self._requests.write(json.dumps(asdict(answer)) + "\n")

    def message(self, message: Message) -> None:
        self._messages.write(json.dumps(asdict(message)) + "\n")

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.close()
        self._messages.close()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            # The last line of a run that was killed while it wrote.
            return
