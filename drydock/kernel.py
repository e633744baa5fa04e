"""A notebook's kernel, as papermill runs it here: an engine of its own at papermill's extension point.

What papermill leaves open: a deadline for the whole notebook, a stop that lets the step in hand finish, what a kernel
printed before it died, and secrets in the injected parameters.
"""

from __future__ import annotations

import copy
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

# jsonschema imports a grammar of IRIs when it can, which takes a second and checks nothing that a notebook has.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

from jupyter_client.manager import AsyncKernelManager  # noqa: E402
from jupyter_core.utils import run_sync  # noqa: E402

from operations.redaction import clean, redact  # noqa: E402

NAME = "drydock"
#: Between the request to stop and the kernel's end by force.
GRACE_SECONDS = 20.0


class StoppedError(Exception):
    """The notebook was stopped between two cells."""


class Kernel:
    """A kernel process, started before papermill is imported: both take a second.

    `why` says why it was asked to stop; `exit_code` is there when it died by itself.
    """

    def __init__(self, environment: dict[str, str], folder: Path, deadline: float) -> None:
        """`deadline` is by the monotonic clock."""
        self.why = ""
        self._deadline = deadline
        self._over = threading.Event()
        # Sockets in a folder that is ours alone; a path of the run's own would be too long for one.
        self._sockets = Path(tempfile.mkdtemp(prefix="drydock-kernel-"))
        # An asynchronous one: with the other, nbclient waits for messages in a way that never notices a dead kernel.
        self.manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=str(self._sockets / "k"))
        with (folder / ".kernel.log").open("ab") as log:
            run_sync(self.manager.start_kernel)(
                # The run's folder keeps IPython's history out of the person's own.
                env={**environment, "IPYTHONDIR": str(folder / ".ipython")},
                cwd=str(Path.cwd()),
                stdout=log,
                stderr=log,
            )
        self._watchdog = threading.Thread(target=self._watch, name="deadline", daemon=True)
        self._watchdog.start()

    @property
    def pid(self) -> int:
        return int(getattr(self.manager.provisioner, "pid", 0))

    @property
    def exit_code(self) -> int | None:
        """None while it lives."""
        process = getattr(self.manager.provisioner, "process", None)
        return process.poll() if process is not None else None

    def stop(self, why: str) -> None:
        """Ask the kernel to stop where it is safe; asked again, it breaks off."""
        self.why = self.why or why
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGINT)

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM of this process ask the kernel to stop, instead of leaving it behind."""

        def ask(number: int, frame: FrameType | None) -> None:
            self.stop(f"it was stopped by {signal.Signals(number).name}")
            self._deadline = min(self._deadline, time.monotonic() + GRACE_SECONDS)

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def end(self) -> None:
        """End it; what it had to keep is kept."""
        self._over.set()
        run_sync(self.manager.shutdown_kernel)(now=True)
        run_sync(self.manager.cleanup_resources)()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _watch(self) -> None:
        while not self._over.wait(max(0.05, min(1.0, self._deadline - time.monotonic()))):
            if time.monotonic() < self._deadline:
                continue
            if not self.why:
                self.stop("its deadline has passed")
                self._deadline = time.monotonic() + GRACE_SECONDS
            elif self.exit_code is None:
                os.kill(self.pid, signal.SIGKILL)
                return


def execute(
    notebook: Path,
    into: Path,
    parameters: dict[str, Any],
    kernel: Kernel,
    show: Callable[[str], None],
) -> str:
    """Execute a runbook; returns its error, empty when there was none. `into` is written after every cell, with the
    error in it, also when the kernel died. `show` gets what cells show, as text, while they run."""
    _register()
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            str(notebook),
            str(into),
            parameters=parameters,
            engine_name=NAME,
            progress_bar=False,
            kernel_name="python3",
            kernel=kernel,
            show=show,
        )
    except PapermillExecutionError as error:
        return redact(f"{error.ename}: {error.evalue}")
    except DeadKernelError:
        return f"the kernel died (exit code {kernel.exit_code})"
    except StoppedError as stopped:
        return str(stopped)
    return ""


def _register() -> None:
    """Make the engine known to papermill. It is defined here, because its bases take long to import."""
    from nbclient.exceptions import DeadKernelError
    from nbformat.v4 import new_output
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import Engine, NotebookExecutionManager, papermill_engines
    from papermill.iorw import write_ipynb
    from papermill.log import logger

    class Manager(NotebookExecutionManager):  # type: ignore[misc]
        """Writes the notebook redacted, and stops it between two cells."""

        kernel: Kernel
        current: Any = None

        def save(self, **_: Any) -> None:
            if self.output_path:
                write_ipynb(_redacted(self.nb), self.output_path)
            self.last_save_time = self.now()

        def cell_start(self, cell: Any, cell_index: int | None = None, **more: Any) -> None:
            if self.kernel.why:
                raise StoppedError(self.kernel.why)
            self.current = cell
            super().cell_start(cell, cell_index, **more)

    class Client(PapermillNotebookClient):  # type: ignore[misc]
        """Shows what cells print, and leaves a note in the cell in which the kernel died."""

        show: Callable[[str], None] = staticmethod(print)

        def process_message(self, *arguments: Any, **more: Any) -> Any:
            output = super().process_message(*arguments, **more)
            if output:
                text = output.get("text") or output.get("data", {}).get("text/plain", "")
                if text and output.output_type != "error":
                    self.show(redact("".join(text)).rstrip("\n"))
            return output

        def papermill_execute_cells(self) -> None:
            try:
                super().papermill_execute_cells()
            except DeadKernelError:
                self._note_death(self.nb_man.current)
                raise

        def _note_death(self, cell: Any) -> None:
            told = f"the kernel died (exit code {self.nb_man.kernel.exit_code}); the journal says how far it came"
            cell.outputs.append(new_output("error", ename="DeadKernelError", evalue=told, traceback=[told]))  # type: ignore[no-untyped-call]
            self.nb_man.cell_exception(cell)

    class DrydockEngine(Engine):  # type: ignore[misc]
        @classmethod
        def execute_notebook(
            cls, nb: Any, kernel_name: str, output_path: str | None = None, *, kernel: Kernel, **more: Any
        ) -> Any:
            manager = Manager(nb, output_path=output_path, progress_bar=False, autosave_cell_every=5)
            manager.kernel = kernel
            manager.notebook_start()
            try:
                client = Client(manager, km=kernel.manager, kernel_name=kernel_name, log=logger, startup_timeout=60)
                client.show = more["show"]
                client.execute(cleanup_kc=False)
            finally:
                manager.notebook_complete()
            # papermill writes what it gets back once more.
            return _redacted(manager.nb)

    papermill_engines.register(NAME, DrydockEngine)


def _redacted(notebook: Any) -> Any:
    """A copy without what looks like a secret, in outputs, in injected parameters and in metadata. What kernels send is
    redacted before it leaves them; this is for what never went through one."""
    shown = copy.copy(notebook)
    shown.metadata = type(notebook.metadata)(clean(notebook.metadata))
    shown.cells = [_redacted_cell(cell) for cell in notebook.cells]
    return shown


def _redacted_cell(cell: Any) -> Any:
    if cell.cell_type != "code":
        return cell
    shown = copy.copy(cell)
    shown.outputs = [_redacted_output(output) for output in cell.outputs]
    if "injected-parameters" in cell.metadata.get("tags", []):
        shown.source = redact(cell.source)
    return shown


def _redacted_output(output: Any) -> Any:
    shown = copy.copy(output)
    if "text" in output:
        shown.text = redact("".join(output.text))
    if "traceback" in output:
        shown.traceback = [redact(line) for line in output.traceback]
        shown.evalue = redact(output.evalue)
    if "data" in output:
        # An image's base64 has no words in it, and is long.
        shown.data = type(output.data)(
            {kind: redact(value) if isinstance(value, str) and not kind.startswith("image/") else value
             for kind, value in output.data.items()}
        )  # fmt: skip
    return shown
