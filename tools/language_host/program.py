"""Runs a Pulumi program in this process: settings come as one JSON document on standard input.

Exits with 0, with 32 when the person has already been told what is wrong (the engine then adds nothing), or with
what the program itself exits with.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ALREADY_SHOWN = 32
INTERRUPTED = 130

try:
    import pulumi
    import pulumi.runtime

    # Beside this file, which runs with the program's interpreter and without the host's package.
    from engine_log import Engine  # type: ignore[import-not-found]
except ImportError:
    print(traceback.format_exc(), file=sys.stderr)
    print(
        f"The Pulumi SDK is not installed for {sys.executable}: run `pulumi install`, "
        "or activate the virtual environment that has it.",
        file=sys.stderr,
    )
    sys.exit(1)


def own_traceback(error: BaseException, program: Path) -> str:
    """The traceback from the program's first own frame on; all of it when no frame is the program's."""
    frames = error.__traceback__
    entry = str(program / "__main__.py" if program.is_dir() else program)
    found = frames
    while found is not None and str(Path(found.tb_frame.f_code.co_filename).absolute()) != entry:
        found = found.tb_next
    return "".join(traceback.format_exception(type(error), error, found or frames))


def configure(settings: dict[str, Any], engine: Engine) -> None:
    pulumi.runtime.set_all_config(settings["config"], settings["secret_keys"])
    names = ("monitor", "project", "stack", "organization", "parallel", "dry_run", "root_directory")
    pulumi.runtime.configure(pulumi.runtime.Settings(engine=engine, **{name: settings[name] for name in names}))


def run(settings: dict[str, Any]) -> int:
    engine = Engine(settings["engine"], debug=settings["debug"])
    configure(settings, engine)
    program = Path(settings["program"]).absolute()
    sys.argv = [settings["program"], *settings["arguments"]]
    if program.is_file():
        sys.path.insert(0, str(program.parent))
    if settings["folder"]:
        os.chdir(settings["folder"])
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # As many resource calls wait at once as the engine was asked to make.
    workers = ThreadPoolExecutor(max_workers=max(settings["parallel"], 1) * 4)
    loop.set_default_executor(workers)
    # A program that fails leaves futures behind that nobody will look at; asyncio would complain about each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)

    def main() -> None:
        # An SDK defines thousands of classes that stay: collecting garbage among them would be a quarter of the time.
        gc.disable()
        try:
            runpy.run_path(str(program), run_name="__main__")
        finally:
            gc.freeze()
            gc.enable()

    try:
        if program.is_dir() and not (program / "__main__.py").is_file():
            pulumi.log.error(f"unable to find main python program `__main__.py` in `{program}`")
            return ALREADY_SHOWN
        loop.run_until_complete(pulumi.runtime.run_in_stack(main))
        return 0
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return ALREADY_SHOWN
    except Exception as error:
        pulumi.log.error(f"Program failed with an unhandled exception:\n{own_traceback(error, program)}")
        return ALREADY_SHOWN
    finally:
        workers.shutdown(wait=True)
        engine.flush()
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    # The engine interrupts the whole process group: a KeyboardInterrupt's traceback would only hide what it says.
    signal.signal(signal.SIGINT, lambda signum, frame: os._exit(INTERRUPTED))
    # From here on the modules of this folder are in nobody's way; the program's own folder takes their place.
    sys.path.pop(0)
    document = sys.stdin.buffer.read()
    sys.stdin = Path(os.devnull).open()  # noqa: SIM115  (for as long as the program runs)
    sys.exit(run(json.loads(document)))
