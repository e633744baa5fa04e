"""A dock with Route 53, in a process that a test may kill: `python -m tests.dock.route53.daemon HOME`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from dock.aws.elbv2 import Elbv2
from dock.aws.route53 import Route53
from dock.cloud import Cloud
from dock.home import Home


async def main() -> None:
    cloud = Cloud(Home(Path(sys.argv[1])), [Elbv2, Route53])
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    try:
        await cloud.start()
        print(cloud.url, *cloud.addresses.dns, flush=True)
        await ended.wait()
    finally:
        await cloud.stop()


asyncio.run(main())
