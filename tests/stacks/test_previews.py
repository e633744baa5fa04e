"""The program under the real engine, offline: nothing listens where its provider would call."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dock.providers.install import install
from drydock.shell import engine_folder
from tests.stacks.files import CONTROLS, FILES, PROFILES, PROJECT, STACKS
from tests.stacks.test_stack_files import DOCK_PASSPHRASE

pytestmark = [pytest.mark.engine, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A shell's, with a Pulumi home and a backend of its own, and all stacks known."""
    root = tmp_path_factory.mktemp("pulumi")
    for folder in ("home", "state"):
        (root / folder).mkdir()
    install(root / "home")
    shell = {
        "PATH": f"{engine_folder()}:{os.environ['PATH']}",
        "HOME": str(root),
        "PULUMI_HOME": str(root / "home"),
        "PULUMI_BACKEND_URL": f"file://{root / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": DOCK_PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # The discard port: a call would be refused, not lost.
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "000000000001",
        "AWS_SECRET_ACCESS_KEY": "dock",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = stack_files()
    for stack in FILES:
        pulumi(shell, "stack", "init", stack, "--no-select")
    # The engine looks for a stack's file beside the project's, and a profile's is not there.
    (root / "project").mkdir()
    for file in [PROJECT / "Pulumi.yaml", *PROFILES.values()]:
        shutil.copy(file, root / "project")
    for stack in PROFILES:
        pulumi(shell, "stack", "init", stack, "--no-select", "--cwd", str(root / "project"))
    assert stack_files() == before
    return shell


def pulumi(shell, *arguments, code=0):
    done = subprocess.run(
        ["pulumi", *arguments, "--non-interactive"],
        cwd=PROJECT,
        env=shell,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr if code else done.stdout


def stack_files():
    return {path.name: path.read_bytes() for path in PROJECT.glob("Pulumi*.yaml")}


@pytest.mark.parametrize("stack", STACKS)
def test_any_stack_is_previewed_offline_and_the_checkout_stays_clean(environment, stack):
    before = stack_files()
    document = json.loads(pulumi(environment, "preview", "--stack", stack, "--json"))
    assert set(document["changeSummary"]) == {"create"}
    made = {step["newState"]["type"] for step in document["steps"]}
    assert {"aws:rds/instance:Instance", "aws:ecs/service:Service", "drydock:components:Manifest"} <= made
    # Secret inputs are shown to nobody, in no form.
    for step in document["steps"]:
        for secret in ("password", "authToken", "secretString"):
            if secret in step["newState"].get("inputs", {}):
                assert step["newState"]["inputs"][secret] == "[secret]"
    assert stack_files() == before


@pytest.mark.parametrize("stack", [*CONTROLS, *PROFILES])
def test_an_accounts_stack_and_a_profile_are_previewed_offline_too(environment, stack):
    file = PROFILES.get(stack, PROJECT / f"Pulumi.{stack}.yaml")
    before = file.read_bytes()
    document = json.loads(pulumi(environment, "preview", "--stack", stack, "--config-file", str(file), "--json"))
    assert set(document["changeSummary"]) == {"create"}
    assert file.read_bytes() == before


def test_wrong_settings_end_in_a_list_of_what_to_mend(environment, tmp_path):
    broken = tmp_path / "Pulumi.production.yaml"
    text = (PROJECT / "Pulumi.production.yaml").read_text()
    text = text.replace("multi_az: true", 'multi_az: "true"').replace("desired_count: 4", "desired_cout: 4")
    broken.write_text(text)
    said = pulumi(environment, "preview", "--stack", "production", "--config-file", str(broken), code=1)
    assert "drydock:settings.service.desired_cout: there is no such setting; did you mean desired_count?" in said
    assert 'drydock:settings.database.multi_az: is "true"; expected true or false, without quotes' in said
    assert "Edit Pulumi.production.yaml" in said
    assert "Traceback" not in said


def test_another_stacks_file_is_not_taken_for_this_ones(environment):
    other = str(Path(PROJECT) / "Pulumi.local.yaml")
    said = pulumi(environment, "preview", "--stack", "staging", "--config-file", other, code=1)
    assert 'drydock:settings.environment: is "local", which is not the stack\'s name, staging' in said
