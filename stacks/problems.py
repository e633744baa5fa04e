"""Turns what pydantic found into what a person can mend: key, expectation, example, file."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from stacks.domain import EXISTING, NEW, Expected

# Steps of a location that no file has: a key of a mapping that is wrong itself, and which of two groups is meant.
_UNWRITTEN = ("[key]", NEW, EXISTING)
# The kind of an error about a value that is well formed, but not for this program or stack.
UNFIT = "unfit"


class SettingsError(Exception):
    """Settings that can't be used. `problems` are all of them; `file` is what to edit."""

    def __init__(self, problems: list[str], file: str) -> None:
        self.problems = problems
        self.file = file
        listed = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"the settings can't be used:\n{listed}\nEdit {file}; docs/settings.md explains each key.")


def problems(error: ValidationError, model: type[BaseModel], root: str) -> list[str]:
    """A line for each thing that is wrong with a document of `model`, whose keys begin with `root`."""
    lines: dict[str, None] = {}
    every = error.errors(include_url=False)
    for found in every:
        where = _where(root, found["loc"])
        kind = found["type"]
        if kind == "extra_forbidden":
            lines[f"{where}: there is no such setting{_similar(model, found['loc'])}"] = None
        elif kind == "value_error" and not _annotation_expects(model, found["loc"]):
            for line in found["msg"].removeprefix("Value error, ").splitlines():
                lines[f"{where}: {line}" if found["loc"] else f"{root}.{line}"] = None
        elif kind in ("too_short", "too_long"):
            # Entries that are wrong themselves don't count, and have been told of already.
            if not any(other["loc"][: len(found["loc"])] == found["loc"] and other is not found for other in every):
                limit = found["ctx"].get("min_length", found["ctx"].get("max_length"))
                bound = "at least" if kind == "too_short" else "at most"
                lines[f"{where}: has {found['ctx']['actual_length']} entries, but needs {bound} {limit}"] = None
        elif kind == UNFIT:
            lines[f"{where}: is {_shown(found['input'])}, which {found['msg']}"] = None
        elif kind == "json_invalid":
            lines[f"{where}: is not an object"] = None
        else:
            said = "is missing" if kind == "missing" else f"is {_shown(found['input'])}"
            if kind == "value_error":
                said += f", which {found['msg'].removeprefix('Value error, ')}"
            lines[f"{where}: {said}; expected {_expected(model, found['loc']) or found['msg']}"] = None
    return list(lines)


def _where(root: str, location: tuple[int | str, ...]) -> str:
    text = root
    for part in location:
        # pydantic marks a key of a mapping that is wrong itself.
        if part not in _UNWRITTEN:
            text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _similar(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    names = [name for each in _flat(_annotation(model, location[:-1])) if _is_model(each) for name in each.model_fields]
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f"; did you mean {close[0]}?" if close else f"; here are {', '.join(names)}"


def _expected(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    annotation = _annotation(model, location)
    for each in _flat(annotation):
        if isinstance(each, Expected):
            return f"{each.what}, for example {json.dumps(each.example)}"
    for each in _flat(annotation):
        if get_origin(each) is Literal:
            return f"one of {', '.join(map(str, get_args(each)))}"
        if each is bool:
            return "true or false, without quotes"
        if _is_model(each):
            return f"a group with {', '.join(each.model_fields)}"
        if get_origin(each) is tuple:
            return f"a list of {_expected_of(get_args(each)[0])}"
        if each is str:
            return "a text"
    return ""


def _expected_of(annotation: Any) -> str:
    return next((each.what for each in _flat(annotation) if isinstance(each, Expected)), "groups")


def _annotation_expects(model: type[BaseModel], location: tuple[int | str, ...]) -> bool:
    """Whether a type of ours refused one value, rather than a group its values together."""
    return bool(location) and any(isinstance(each, Expected) for each in _flat(_annotation(model, location)))


def _annotation(model: Any, location: tuple[int | str, ...]) -> Any:
    """The declared type at a location, with its metadata."""
    current: Any = model
    for part in location:
        if part in _UNWRITTEN:
            continue
        for each in _flat(current):
            if _is_model(each) and part in each.model_fields:
                field = each.model_fields[part]
                current = Annotated[(field.annotation, *field.metadata, None)]
                break
            if get_origin(each) is tuple:
                current = get_args(each)[0]
                break
            if get_origin(each) is dict:
                current = get_args(each)[1] if location[-1] != "[key]" else get_args(each)[0]
                break
        else:
            return None
    return current


def _flat(annotation: Any) -> Iterator[Any]:
    """A type, those it is made of by `Annotated` and `|`, and their metadata; what is inside a list is not of it."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        yield from metadata
        yield from _flat(inner)
    elif get_origin(annotation) in (Union, UnionType):
        for each in get_args(annotation):
            yield from _flat(each)
    else:
        yield annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
