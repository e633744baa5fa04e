"""STS: who calls, and credentials for a while."""

from dock.aws.sts.service import Sts

__all__ = ["Sts"]
