"""`python -m stacks.settings` writes the JSON schema."""

import json
import sys

from stacks.settings.schema import SCHEMA, schema

SCHEMA.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n")
print(f"wrote {SCHEMA}", file=sys.stderr)
