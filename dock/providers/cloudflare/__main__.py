"""`pulumi-resource-cloudflare [ENGINE_ADDRESS]`."""

from __future__ import annotations

import sys

from dock.providers.cloudflare.provider import CloudflareProvider
from dock.providers.plugin import Servicer
from dock.providers.serve import serve

if __name__ == "__main__":
    address = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    serve(Servicer(CloudflareProvider(), address))
