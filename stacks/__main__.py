"""What `pulumi up` runs."""

import gc

# The SDK's modules are some hundred thousand objects that all live to the end. Looking through them for garbage, again
# and again while they are loaded, would be a third of the program's time.
gc.disable()

from stacks import lazy_sdk  # noqa: E402

lazy_sdk.install()

import pulumi  # noqa: E402

from stacks import settings  # noqa: E402
from stacks.problems import SettingsError  # noqa: E402

try:
    chosen = settings.read(pulumi.get_stack())
except SettingsError as error:
    # The engine prints it as it is, without a traceback.
    raise pulumi.RunError(str(error)) from None

# Each loads only the part of the SDK that it needs.
match chosen:
    case settings.Control():
        from stacks.control import ControlStack

        outputs = ControlStack(chosen).outputs
    case settings.Settings():
        from stacks import platforms
        from stacks.environment import Environment

        outputs = Environment(chosen, platforms.load(chosen.platform)).outputs

for name, value in outputs.items():
    pulumi.export(name, value)
