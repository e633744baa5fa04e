"""What only concerns a run in a notebook's kernel: what leaves it, and how it is interrupted."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from operations.redaction import redact

# Messages that carry outputs of cells. Others (completions, replies) are for the person at the keyboard alone.
_OUTPUTS = frozenset({"stream", "display_data", "update_display_data", "execute_result", "error"})


def guard_outputs() -> None:
    """Redact every output that leaves this kernel, whatever printed it. Outside of a kernel this does nothing.

    All outputs go through one place, the session's `send`; hooks of the display or of the streams would miss some.
    """
    session = _session()
    if session is None or getattr(session.send, "guarded", False):
        return
    send = session.send

    def guarded(stream: Any, message: Any, content: Any = None, *arguments: Any, **more: Any) -> Any:
        kind = message if isinstance(message, str) else message.get("msg_type") or message["header"]["msg_type"]
        if kind in _OUTPUTS:
            if isinstance(message, str):
                content = _clean(content)
            else:
                message = {**message, "content": _clean(message["content"])}
        return send(stream, message, content, *arguments, **more)

    guarded.guarded = True  # type: ignore[attr-defined]
    session.send = guarded


def _session() -> Any:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    kernel = getattr(shell, "kernel", None)
    return getattr(kernel, "session", None)


def _clean(value: Any) -> Any:
    """Strings redacted, structure kept: unlike in a journal, a key's name says nothing here."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


class StopSignal:
    """Whether the run was asked to stop. The first SIGINT or SIGTERM asks; the next one breaks off."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listen while the body runs; only the main thread can, elsewhere nobody asks."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def ask(number: int, frame: FrameType | None) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        for number in before:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
