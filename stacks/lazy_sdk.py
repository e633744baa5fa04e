"""Loads of a provider's SDK only the resources that the program names.

The generated packages import every resource they know: `pulumi_aws.ec2` some 180 modules for a handful of types,
`pulumi_cloudflare` three seconds of them. Behind this finder such a package is there at once, and a name is looked up
in the one module that defines it. The SDK itself is unchanged, and so is every object that the program gets.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

# Packages whose services are packages of their own, and packages that have their resources at the top.
SERVICES = ("pulumi_aws",)
FLAT = ("pulumi_cloudflare",)

_EAGER = re.compile(r"^from \.(\w*) import (\*|outputs)$", re.MULTILINE)
_EXPORTED = re.compile(r"^__all__ = (\[[^\]]*\])", re.MULTILINE)
_WORD = re.compile(r"(?<!^)(?=[A-Z][a-z])|(?<=[a-z0-9])(?=[A-Z])")
_AROUND = re.compile(r"^(Awaitable)?(.*?)(Result|InitArgs|ArgsDict|Args|_output)?$")


def install() -> None:
    """From here on the SDKs' packages are loaded lazily. Those that are loaded already stay as they are."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, service = fullname.partition(".")
        if not (fullname in FLAT or (package in SERVICES and service and "." not in service)):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or spec.submodule_search_locations is None:
            return spec
        spec.loader = _Loader(fullname, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        source = Path(self.path).read_text()
        modules = [name for name, _ in _EAGER.findall(source) if name]
        names = _Names(module, modules)
        # A package asks the module for what it hasn't got itself.
        module.__dict__["__getattr__"] = names.load
        exec(compile(_EAGER.sub("", source), self.path, "exec"), module.__dict__)  # noqa: S102  (the SDK's own code)


class _Names:
    """Finds the module of a package that exports a name."""

    def __init__(self, package: ModuleType, modules: list[str]) -> None:
        self._package = package
        self._folder = Path(str(package.__file__)).parent
        self._modules = modules

    def load(self, name: str) -> Any:
        """`__getattr__` of the package."""
        if name == "outputs" and (self._folder / "outputs.py").exists():
            return self._import(name)
        if not name.startswith("__"):
            for module in self._candidates(name):
                if name in _exports(self._folder / f"{module}.py"):
                    found = getattr(self._import(module), name)
                    setattr(self._package, name, found)
                    return found
        if name in self._modules:
            return self._import(name)
        raise AttributeError(f"module {self._package.__name__!r} has no attribute {name!r}", name=name)

    def _import(self, name: str) -> ModuleType:
        module = importlib.import_module(f"{self._package.__name__}.{name}")
        # Importing binds the module to its name, but a lookup's function has the same one, and the package means that.
        setattr(self._package, name, getattr(module, name, module))
        return module

    def _candidates(self, name: str) -> Iterator[str]:
        """The module that is named after the resource, and then, for what is named otherwise, all the others."""
        core = _AROUND.sub(r"\2", name)
        likely = [_WORD.sub("_", each).lower() for each in (core, name)]
        likely = [each for each in dict.fromkeys(likely) if each in self._modules]
        yield from likely
        # As with `import *`, the last one wins.
        yield from (each for each in reversed(self._modules) if each not in likely)


def _exports(module: Path) -> list[str]:
    found = _EXPORTED.search(module.read_text())
    return list(ast.literal_eval(found[1])) if found else []
