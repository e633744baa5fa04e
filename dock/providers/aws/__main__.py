"""`pulumi-resource-aws [ENGINE_ADDRESS]`."""

from __future__ import annotations

import sys

from dock.providers.aws.provider import AwsProvider
from dock.providers.plugin import Servicer
from dock.providers.serve import serve

if __name__ == "__main__":
    serve(Servicer(AwsProvider(), next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")))
