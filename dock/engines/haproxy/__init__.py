"""HAProxy: what stands before databases, caches and services."""

from __future__ import annotations

from dock.engines.haproxy.load_balancer import LoadBalancer
from dock.engines.haproxy.measure import Health, Traffic, percentile
from dock.engines.haproxy.process import AddressTaken, HAProxy, HAProxyError

__all__ = ["AddressTaken", "HAProxy", "HAProxyError", "Health", "LoadBalancer", "Traffic", "percentile"]
