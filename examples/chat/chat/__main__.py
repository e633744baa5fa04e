"""`python -m chat`: run the service.

Exit codes: 0 ended in order, 1 could not start or was cut off, 2 wrong configuration.
"""

import json
import logging
import sys

from chat import logs
from chat.settings import ConfigurationError, Settings
from chat.task import TaskError, discover

log = logging.getLogger("chat")


def main() -> int:
    try:
        settings = Settings.load()
    except ConfigurationError as error:
        line = {"level": "error", "message": "configuration refused", "problems": error.problems}
        print(json.dumps(line), flush=True)
        return 2
    try:
        task = discover()
    except TaskError as error:
        print(json.dumps({"level": "error", "message": str(error)}), flush=True)
        return 1
    logs.configure(
        level=settings.log_level,
        constants={"release": settings.release, "task": task.name},
        secrets=settings.secrets(),
    )
    from chat.application import build  # after the logs: importing may already have something to say
    from chat.server import Server
    from chat.service import Service

    service = Service(settings, task)
    try:
        application = build(service)
    except ConfigurationError as error:
        log.critical("configuration refused", extra={"problems": error.problems})
        return 2
    Server(application, service).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
