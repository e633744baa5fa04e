"""`Pulumi.yaml` and the stack files as the engine and an editor see them."""

from __future__ import annotations

import ast
import base64
import json
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from stacks.settings import PROJECT as PROJECT_NAME
from stacks.settings.schema import SCHEMA, schema
from tests.stacks.files import PROJECT, STACKS, stack_file

DOCK_PASSPHRASE = "dock"
every_stack = pytest.mark.parametrize("stack", STACKS)


def test_the_schema_is_current():
    """After a change of the settings: `python -m stacks.settings`."""
    assert json.loads(SCHEMA.read_text()) == schema()


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema())


@every_stack
def test_a_stack_file_is_valid(stack):
    jsonschema.validate(stack_file(stack), schema())


@pytest.mark.parametrize(
    ("path", "value"),
    [("account", 1), ("database.multi_az", "true"), ("service.zebra", 1), ("network.cidr", 5), ("cache.replicas", 9)],
)
def test_the_schema_refuses_what_the_program_refuses(path, value):
    document = stack_file("production")
    *groups, last = path.split(".")
    group = document["config"]["drydock:settings"]
    for name in groups:
        group = group[name]
    group[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema())


def test_the_schema_refuses_settings_outside_of_their_object():
    document = stack_file("local")
    document["config"]["drydock:region"] = "us-east-1"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema())


@every_stack
def test_editors_find_the_schema(stack):
    first = (PROJECT / f"Pulumi.{stack}.yaml").read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={SCHEMA.relative_to(PROJECT)}"


@every_stack
def test_no_default_provider_can_slip_in(stack):
    assert stack_file(stack)["config"]["pulumi:disable-default-providers"] == ["*"]


@every_stack
def test_the_docks_passphrase_fits_so_that_the_engine_leaves_the_file_alone(stack):
    """Without a fitting salt the engine would write one of its own into the checkout, or refuse the stack."""
    version, salt, _, nonce, text = stack_file(stack)["encryptionsalt"].split(":")
    assert version == "v1"
    derivation = PBKDF2HMAC(SHA256(), 32, base64.b64decode(salt), 1_000_000)
    key = derivation.derive(DOCK_PASSPHRASE.encode())
    assert AESGCM(key).decrypt(base64.b64decode(nonce), base64.b64decode(text), None) == b"pulumi"


def test_the_project_runs_stacks_in_the_virtual_environment():
    project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())
    assert project["name"] == PROJECT_NAME
    assert (PROJECT / project["main"] / "__main__.py").is_file()
    assert project["runtime"] == {"name": "python", "options": {"virtualenv": ".venv"}}


def test_no_module_beside_the_program_hides_one_of_python():
    """The engine runs `stacks/` with that folder first on the path."""
    names = {path.stem for path in Path(PROJECT / "stacks").iterdir()} - {"__init__", "__main__", "__pycache__"}
    assert names & sys.stdlib_module_names == set()


def test_the_program_never_asks_which_environment_it_is():
    compared = [
        f"{path}:{node.lineno}"
        for path in [*Path(PROJECT / "stacks").rglob("*.py"), *Path(PROJECT / "components").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare)
        for side in [node.left, *node.comparators]
        if isinstance(side, ast.Constant) and side.value in STACKS
    ]
    assert compared == []
