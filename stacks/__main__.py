"""What `pulumi up` runs."""

import gc

# The SDK's modules are some hundred thousand objects that all live to the end. Looking through them for garbage, again
# and again while they are loaded, would be a third of the program's time.
gc.disable()

import pulumi  # noqa: E402

from stacks import platforms, settings  # noqa: E402
from stacks.environment import Environment  # noqa: E402
from stacks.problems import SettingsError  # noqa: E402

try:
    chosen = settings.read(pulumi.get_stack())
except SettingsError as error:
    # The engine prints it as it is, without a traceback.
    raise pulumi.RunError(str(error)) from None

for name, value in Environment(chosen, platforms.load(chosen.platform)).outputs.items():
    pulumi.export(name, value)
