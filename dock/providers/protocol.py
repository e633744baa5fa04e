"""Pulumi's wire protocol without the rest of its SDK, whose import would triple a plugin's time to start."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def stubs(name: str) -> Any:
    """The generated module `name` (for example `provider_pb2`) of the installed SDK.

    Raises ImportError when the SDK isn't installed.
    """
    if "pulumi" in sys.modules:
        return importlib.import_module(f"pulumi.runtime.proto.{name}")
    if "pulumi_protocol" not in sys.modules:
        found = importlib.util.find_spec("pulumi")
        if found is None or not found.submodule_search_locations:
            raise ImportError("no module named 'pulumi'")
        package = ModuleType("pulumi_protocol")
        package.__path__ = [str(Path(found.submodule_search_locations[0]) / "runtime" / "proto")]
        sys.modules["pulumi_protocol"] = package
    return importlib.import_module(f"pulumi_protocol.{name}")


engine = stubs("engine_pb2")
engine_grpc = stubs("engine_pb2_grpc")
plugin = stubs("plugin_pb2")
provider = stubs("provider_pb2")
provider_grpc = stubs("provider_pb2_grpc")
status = stubs("status_pb2")
