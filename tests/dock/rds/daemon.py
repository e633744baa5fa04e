"""A dock with RDS alone, in a process that a test may kill: `python -m tests.dock.rds.daemon HOME`.

It prints its URL when it is up, and the status of its resources for each line on its standard input; SIGTERM stops it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from dock.aws.rds import Rds
from dock.cloud import Cloud
from dock.home import Home


async def _serve(home: Home) -> None:
    cloud = Cloud(home, [Rds])
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    try:
        await asyncio.wait_for(cloud.start(), 120)
        print(cloud.url, flush=True)
        loop.add_reader(sys.stdin, lambda: sys.stdin.readline() and print(_status(cloud), flush=True))
        await ended.wait()
    finally:
        loop.remove_reader(sys.stdin)
        await asyncio.wait_for(cloud.stop(), 60)


def _status(cloud: Cloud) -> str:
    return json.dumps([entry for service in cloud.services.values() for entry in service.status()])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(_serve(Home(Path(sys.argv[1]))))
