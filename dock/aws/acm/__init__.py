"""AWS Certificate Manager: certificates that load balancers serve, issued by the dock's own authority or imported."""

from dock.aws.acm.service import Acm

__all__ = ["Acm"]
