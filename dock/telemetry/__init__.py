"""What the engines really do, measured and given to CloudWatch under AWS's names.

A room of its own, beside the services: a service works without being measured, and what is measured here belongs to
several services and their engines at once.
"""

from dock.telemetry.telemetry import Telemetry

__all__ = ["Telemetry"]
