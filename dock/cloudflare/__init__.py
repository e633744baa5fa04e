"""Cloudflare's API, version 4, over an edge that acts."""

from dock.cloudflare.cloudflare import Cloudflare, routes

__all__ = ["Cloudflare", "routes"]
