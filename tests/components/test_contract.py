"""What every component keeps to. They are found by themselves: a new one only needs an entry in `samples.py`."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
from functools import cache

import pulumi
import pulumi_aws as aws
import pulumi_cloudflare as cloudflare
import pytest

import components
from tests.components.samples import SAMPLES, arguments
from tests.stacks.recording import Recording, record
from tests.stacks.sdk_types import complaints

MODULES = [importlib.import_module(f"components.{each.name}") for each in pkgutil.iter_modules(components.__path__)]
COMPONENTS: dict[str, type[pulumi.ComponentResource]] = {
    name: kind
    for module in MODULES
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, pulumi.ComponentResource) and kind.__module__ == module.__name__
}
# What can't be made again from the program alone.
DATA = ("index/zone:Zone", "kms/key:Key", "rds/instance:Instance", "replicationGroup:ReplicationGroup",
        "ecr/repository:Repository", "secret:Secret", "secretVersion:SecretVersion", "s3/bucket:Bucket",
        "dynamodb/table:Table", "backup/vault:Vault")  # fmt: skip
every_component = pytest.mark.parametrize("noun", sorted(COMPONENTS))
every_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)


def args_of(noun: str) -> type:
    return getattr(importlib.import_module(COMPONENTS[noun].__module__), f"{noun}Args")  # type: ignore[no-any-return]


def build(noun: str, **changes: object) -> Recording:
    def program() -> pulumi.ComponentResource:
        # Of both clouds: a component takes the one that its resources are of.
        providers = [aws.Provider("elsewhere", region="eu-central-1"), cloudflare.Provider("elsewhere")]
        return COMPONENTS[noun](
            "thing", arguments(args_of(noun), **changes), pulumi.ResourceOptions(providers=providers)
        )

    return record(program)


@cache
def built(noun: str) -> Recording:
    return build(noun)


@cache
def source(noun: str) -> ast.ClassDef:
    tree = ast.parse(inspect.getsource(importlib.import_module(COMPONENTS[noun].__module__)))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == noun)


def constructor(noun: str) -> ast.FunctionDef:
    return next(node for node in source(noun).body if isinstance(node, ast.FunctionDef) and node.name == "__init__")


def test_every_component_has_a_sample_and_every_file_one_component():
    assert set(COMPONENTS) == set(SAMPLES)
    nouns = {kind.__module__.removeprefix("components."): name.lower() for name, kind in COMPONENTS.items()}
    assert {module.replace("_", "") for module in nouns} == set(nouns.values())
    assert len(MODULES) == len(COMPONENTS)


@every_component
def test_it_is_made_of_a_name_its_arguments_and_options(noun):
    parameters = list(inspect.signature(COMPONENTS[noun].__init__).parameters.values())
    assert [parameter.name for parameter in parameters] == ["self", "name", "args", "opts"]
    assert parameters[2].annotation == f"{noun}Args"
    assert parameters[3].default is None


@every_component
def test_its_arguments_are_frozen_and_named(noun):
    args = args_of(noun)
    assert dataclasses.is_dataclass(args)
    assert args.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(args))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(args(**SAMPLES[noun]), dataclasses.fields(args)[0].name, "another")


@every_component
def test_every_child_belongs_to_it_and_has_its_name_in_front(noun):
    run = built(noun)
    itself = next(
        each for each in run.components() if each.type == f"drydock:components:{noun}" and each.name == "thing"
    )
    own = {each.urn for each in run.components()}
    children = [each for each in run.resources if each.urn != itself.urn and not each.type.startswith("pulumi:")]
    assert children
    assert [each.name for each in children if each.parent not in own] == []
    assert [each.name for each in children if not each.name.startswith("thing")] == []


@every_component
def test_its_resources_use_the_callers_provider(noun):
    run = built(noun)
    urns = {each.type.partition(":")[0]: run.one(each.type.partition(":")[0]).urn for each in run.custom()}
    wrong = [each for each in run.custom() if not each.provider.startswith(f"{urns[each.type.partition(':')[0]]}::")]
    assert [each.name for each in wrong] == []


@every_component
def test_it_leaves_tags_to_the_provider_except_a_name(noun):
    """`default_tags` reach every resource, and a tag that is set twice is a difference in each preview."""
    tags = {(each.name, key) for each in built(noun).custom() for key in each.inputs.get("tags", {}) if key != "Name"}
    assert tags == set()


@every_component
def test_its_outputs_are_registered_at_the_end(noun):
    run = built(noun)
    for each in run.components():
        assert run.outputs.get(each.urn), f"{each.name} registers no outputs"
    last = constructor(noun).body[-1]
    assert isinstance(last, ast.Expr)
    assert ast.unparse(last.value).startswith("self.register_outputs(")
    declared = {node.target.id for node in source(noun).body if isinstance(node, ast.AnnAssign)}
    assert declared, "what a component gives is declared on its class"
    assert {name for name in declared if not hasattr(run.made, name)} == set()


@every_component
def test_the_callers_options_go_to_the_component_alone(noun):
    used = [node for node in ast.walk(constructor(noun)) if isinstance(node, ast.Name) and node.id == "opts"]
    first = constructor(noun).body[0]
    assert ast.unparse(first).endswith(f"super().__init__('drydock:components:{noun}', name, None, opts)")
    assert len(used) == 1


@every_component
@pytest.mark.parametrize("protect", [True, False])
def test_data_are_protected_as_it_is_told(noun, protect):
    if "protect" not in {field.name for field in dataclasses.fields(args_of(noun))}:
        assert [each.name for each in built(noun).custom() if each.type.endswith(DATA)] == []
        return
    run = build(noun, protect=protect)
    data = [each for each in run.custom() if each.type.endswith(DATA)]
    assert [each.name for each in data if each.protect is not protect] == []
    assert [each.name for each in run.custom() if each.protect and each not in data] == []


@every_component
def test_its_inputs_are_those_that_the_sdk_knows(noun):
    assert [line for each in built(noun).custom() for line in complaints(each.type, each.inputs)] == []


@every_component
def test_no_two_of_its_resources_share_a_urn(noun):
    urns = [each.urn for each in built(noun).resources]
    assert len(set(urns)) == len(urns)


@every_module
def test_it_reads_no_setting_and_calls_no_cloud(module):
    tree = ast.parse(inspect.getsource(module))
    imported = {
        (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported <= {"__future__", "collections", "components", "dataclasses", "ipaddress", "json", "pulumi",
                        "pulumi_aws", "pulumi_cloudflare", "typing"}  # fmt: skip
    names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert names.isdisjoint(
        {"pulumi.Config", "pulumi.export", "pulumi.get_stack", "pulumi.get_project", "pulumi.runtime"}
    )
    # The one function of the provider that has no resource in its place.
    functions = {name for name in names if name.startswith("aws.") and name.split(".")[-1].startswith("get_")}
    assert functions <= {"aws.secretsmanager.get_random_password_output"}


@every_module
def test_it_makes_no_resource_inside_an_apply(module):
    tree = ast.parse(inspect.getsource(module))
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "apply"):
            continue
        (applied,) = call.args
        body = functions.get(applied.id, applied) if isinstance(applied, ast.Name) else applied
        made = [ast.unparse(node.func) for node in ast.walk(body) if isinstance(node, ast.Call)]
        assert [name for name in made if name.startswith(("aws.", "cloudflare.")) or name in COMPONENTS] == []


@every_module
def test_it_does_not_know_which_environment_it_is_in(module):
    text = inspect.getsource(module)
    assert [word for word in ("production", "staging", '"local"') if f'"{word}"' in text or f"== {word}" in text] == []
