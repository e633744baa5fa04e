"""`python -m dock.providers.cloudflare.sdk` writes the input types of the installed SDK to `schema.json`."""

from __future__ import annotations

from dock.providers.declaration import schema_file
from dock.providers.sdk import generate

if __name__ == "__main__":
    schema_file("cloudflare").write_text(generate("cloudflare"))
