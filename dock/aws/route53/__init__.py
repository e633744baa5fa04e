"""Route 53: hosted zones and health checks, served by the dock's own DNS server."""

from dock.aws.route53.service import Route53

__all__ = ["Route53"]
