"""`python -m dock.providers.aws.sdk` writes the input types of the installed SDK to `schema.json`."""

from __future__ import annotations

from dock.providers.aws.configuration import SCHEMA
from dock.providers.sdk import generate

if __name__ == "__main__":
    SCHEMA.write_text(generate("aws"))
