"""A dock with ElastiCache alone, as a process of its own that a test can kill: `python daemon.py HOME`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from dock.aws.elasticache import ElastiCache
from dock.cloud import Cloud
from dock.home import Home


async def main() -> None:
    cloud = Cloud(Home(Path(sys.argv[1])), [ElastiCache])
    await cloud.start()
    print(cloud.url, flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
