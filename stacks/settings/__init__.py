"""What differs between environments: `drydock:settings` in `Pulumi.<stack>.yaml`.

`reading.py` is the only reader of `pulumi.Config`. `python -m stacks.settings` writes the JSON schema that editors
check the stack files with.
"""

from stacks.settings.control import Control
from stacks.settings.environment import Settings
from stacks.settings.reading import KEY, PROJECT, parse, read
from stacks.settings.service import RESERVED

__all__ = ["KEY", "PROJECT", "RESERVED", "Control", "Settings", "parse", "read"]
