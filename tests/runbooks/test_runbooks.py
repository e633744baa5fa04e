"""What every runbook has in common."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat
import pytest
from pydantic import ValidationError

from operations import catalogue
from operations.parameters import BY_RUNBOOK, Changing, DeployParameters, VerifyParameters

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
NOTEBOOKS = sorted(RUNBOOKS.glob("*.ipynb"))
HEADINGS = ["Purpose and impact", "When", "Parameters", "Preflight", "Plan", "Act", "Verify", "Way back"]
# What a cell may consist of: imports, names for what calls give, and calls.
STATEMENTS = (ast.Import, ast.ImportFrom, ast.Assign, ast.Expr)
EXPRESSIONS = (ast.Call, ast.Attribute, ast.Name, ast.Constant, ast.keyword, ast.alias, ast.Load, ast.Store)

every_runbook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def parameters_cell(path: Path) -> Any:
    tagged = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1, f"{path.name} has {len(tagged)} cells tagged `parameters`"
    return tagged[0]


def literals(path: Path) -> dict[str, Any]:
    """The parameters cell's names and values; fails when it holds anything but literals."""
    found = {}
    for statement in ast.parse(parameters_cell(path).source).body:
        assert isinstance(statement, ast.Assign), ast.unparse(statement)
        assert len(statement.targets) == 1, ast.unparse(statement)
        name = statement.targets[0]
        assert isinstance(name, ast.Name), ast.unparse(statement)
        found[name.id] = ast.literal_eval(statement.value)
    return found


def test_there_are_runbooks_and_each_is_in_the_index() -> None:
    index = (RUNBOOKS / "README.md").read_text()
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        assert f"({path.name})" in index, f"runbooks/README.md does not list {path.name}"


def test_every_runbook_has_a_model_of_its_parameters_and_every_model_a_runbook() -> None:
    assert set(BY_RUNBOOK) == {path.stem for path in NOTEBOOKS} == set(catalogue.MODULES)


@every_runbook
def test_it_is_a_dry_run_unless_somebody_says_otherwise(path: Path) -> None:
    operation = catalogue.named(path.stem)
    assert operation.name == path.stem
    assert operation.parameters is BY_RUNBOOK[path.stem]
    assert operation.changes == issubclass(operation.parameters, Changing)
    assert literals(path).get("dry_run", True) is True


@every_runbook
def test_its_last_cell_is_what_says_whether_the_run_succeeded(path: Path) -> None:
    assert code_cells(path)[-1].source == "run.finish()"


@every_runbook
def test_it_never_ends_the_kernel_itself(path: Path) -> None:
    assert not any("exit" in cell.source for cell in code_cells(path))


@every_runbook
def test_it_is_a_valid_notebook_of_the_current_format(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"


@every_runbook
def test_it_has_the_fixed_headings_in_their_order(path: Path) -> None:
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    assert [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")] == HEADINGS


@every_runbook
def test_it_is_committed_without_outputs(path: Path) -> None:
    for cell in code_cells(path):
        assert not cell.outputs, cell.source
        assert cell.execution_count is None, cell.source
    assert "papermill" not in read(path).metadata


@every_runbook
def test_its_cells_only_call_operations(path: Path) -> None:
    tagged = parameters_cell(path)
    for cell in code_cells(path):
        if cell.id == tagged.id:
            continue
        tree = ast.parse(cell.source)  # `!shell` and `%magic` are no Python
        for statement in tree.body:
            assert isinstance(statement, STATEMENTS), ast.unparse(statement)
            for node in ast.walk(statement):
                assert isinstance(node, (*STATEMENTS, *EXPRESSIONS)), ast.unparse(statement)
            if isinstance(statement, ast.Import | ast.ImportFrom):
                module = statement.module if isinstance(statement, ast.ImportFrom) else statement.names[0].name
                assert (module or "").split(".")[0] == "operations", ast.unparse(statement)


@every_runbook
def test_its_parameters_agree_with_the_model_in_name_type_and_default(path: Path) -> None:
    model = BY_RUNBOOK[path.stem]
    # What has no default is None in the cell, which no model takes.
    defaults = {name: None if field.is_required() else field.default for name, field in model.model_fields.items()}
    found = literals(path)
    assert found == defaults
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in defaults.items()
    }
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    if required:
        with pytest.raises(ValidationError) as refused:
            model(**found)
        assert {error["loc"][0] for error in refused.value.errors()} == set(required)
    else:
        model(**found)


@every_runbook
def test_every_parameter_reaches_the_model_and_is_explained(path: Path) -> None:
    names = set(BY_RUNBOOK[path.stem].model_fields)
    passed: set[str] = set()
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.keyword) and isinstance(node.value, ast.Name) and node.arg == node.value.id:
                passed.add(node.value.id)
    assert passed == names
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for name in names:
        assert f"`{name}`" in text, f"{path.name} does not say what {name} is"


@pytest.mark.parametrize("wrong", ["false", "False", 0, None, "no"], ids=repr)
def test_only_a_boolean_ends_a_dry_run(wrong: Any) -> None:
    with pytest.raises(ValidationError, match="valid boolean"):
        DeployParameters(image_digest="sha256:" + "a" * 64, dry_run=wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"probes": "200"},
        {"probes": 0},
        {"probes": True},
        {"probes_per_second": "fast"},
        {"environment": "Local"},
        {"environment": "local; rm -rf"},
        {"region": "everywhere"},
        {"probe_path": "api"},
        {"dry_run": False},
    ],
    ids=str,
)
def test_a_parameter_of_the_wrong_type_or_name_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VerifyParameters(**wrong)
