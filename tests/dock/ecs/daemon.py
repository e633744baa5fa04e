"""A daemon that a test can kill: the cloud of a home given on the command line, until the end."""

import asyncio
import sys
from pathlib import Path

from dock.aws.ecr import Ecr
from dock.aws.ecs import Ecs
from dock.aws.elbv2 import Elbv2
from dock.aws.logs import Logs
from dock.cloud import Cloud
from dock.home import Home


async def main() -> None:
    cloud = Cloud(Home(Path(sys.argv[1])), [Logs, Ecr, Elbv2, Ecs])
    await cloud.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
