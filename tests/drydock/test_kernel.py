"""Notebooks as the runner executes them: what papermill alone would hang on, lose, or leave readable."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from drydock import kernel as kernels
from drydock.kernel import Kernel

pytestmark = pytest.mark.timeout(120)

CANARY = "canary-5up3r-s3cret"
Execute = Callable[..., tuple[str, Any, list[str]]]


@pytest.fixture
def execute(tmp_path: Path) -> Iterator[Execute]:
    """Executes cells; gives the error, the executed notebook, and what was shown meanwhile."""
    started: list[Kernel] = []

    def execute(
        *cells: str, seconds: float = 60, meanwhile: Callable[[Kernel], None] | None = None, **parameters: Any
    ) -> tuple[str, Any, list[str]]:
        notebook = new_notebook(cells=[new_code_cell(""), *(new_code_cell(cell) for cell in cells)])  # type: ignore[no-untyped-call]
        notebook.cells[0].metadata.tags = ["parameters"]
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, tmp_path / "in.ipynb")  # type: ignore[no-untyped-call]
        kernel = Kernel(dict(os.environ), tmp_path, time.monotonic() + seconds)
        started.append(kernel)
        shown: list[str] = []

        def show(text: str) -> None:
            shown.append(text)
            if text == "ready" and meanwhile is not None:
                threading.Thread(target=meanwhile, args=(kernel,), daemon=True).start()

        problem = kernels.execute(tmp_path / "in.ipynb", tmp_path / "out.ipynb", parameters, kernel, show)
        return problem, nbformat.read(tmp_path / "out.ipynb", as_version=4), shown  # type: ignore[no-untyped-call]

    yield execute
    for kernel in started:
        kernel.end()


WAIT = "import time\nprint('ready', flush=True)\ntime.sleep(60)"


def test_a_kernel_that_dies_is_noticed_and_stands_in_the_notebook(execute: Execute) -> None:
    problem, notebook, _ = execute(
        "print('before')", WAIT, "print('after')", meanwhile=lambda kernel: os.kill(kernel.pid, signal.SIGKILL)
    )
    assert problem == "the kernel died (exit code -9)"
    assert notebook.cells[1].outputs[0].text == "before\n", "what was shown before is kept"
    assert notebook.cells[2].outputs[-1].ename == "DeadKernelError"
    assert notebook.cells[3].outputs == []


def test_the_deadline_is_for_the_whole_notebook(execute: Execute) -> None:
    began = time.monotonic()
    problem, notebook, _ = execute(WAIT, "print('after')", seconds=4)
    assert time.monotonic() - began < 30
    assert "KeyboardInterrupt" in problem
    (after,) = [cell for cell in notebook.cells if cell.source == "print('after')"]
    assert after.outputs == []


def test_a_kernel_that_does_not_obey_is_ended_by_force(execute: Execute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "GRACE_SECONDS", 1.0)
    deaf = (
        "import signal, time\nsignal.signal(signal.SIGINT, lambda *_: None)\nprint('ready', flush=True)\ntime.sleep(60)"
    )
    problem, _, _ = execute(deaf, seconds=4)
    assert problem == "the kernel died (exit code -9)"


def test_an_error_of_a_cell_ends_the_notebook_and_is_told(execute: Execute) -> None:
    problem, notebook, shown = execute("raise ValueError('what happened')", "print('after')")
    assert problem == "ValueError: what happened"
    assert "after" not in shown
    assert any(output.output_type == "error" for output in notebook.cells[-2].outputs)


def test_no_secret_leaves_the_kernel_whatever_prints_it(execute: Execute, tmp_path: Path) -> None:
    guard = (
        "from operations import redaction\nfrom operations.runs import kernel\n"
        f"redaction.remember('{CANARY[:6]}' + '{CANARY[6:]}')\nkernel.guard_outputs()\n"
        f"secret = '{CANARY[:6]}' + '{CANARY[6:]}'"
    )
    _, _, shown = execute(
        guard,
        "import sys\nprint(secret)\nprint('to', secret, file=sys.stderr)",
        "from IPython.display import HTML, display\ndisplay(HTML(f'<b>{secret}</b>'))\n{'told': secret}",
        "raise ValueError(secret)",
    )
    kept = (tmp_path / "out.ipynb").read_text()
    assert CANARY not in kept + "".join(shown)
    assert kept.count("***") >= 5


def test_a_secret_among_the_parameters_is_hidden_in_cell_and_metadata(execute: Execute, tmp_path: Path) -> None:
    problem, _, _ = execute("print(len(password))", password="hunter2-hunter2", url="redis://:pw-of-url@host")
    assert problem == ""
    kept = (tmp_path / "out.ipynb").read_text()
    for secret in ("hunter2-hunter2", "pw-of-url"):
        assert secret not in kept
