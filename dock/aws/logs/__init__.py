"""CloudWatch Logs: groups, streams and events, in a database of their own."""

from dock.aws.logs.logs import Logs

__all__ = ["Logs"]
