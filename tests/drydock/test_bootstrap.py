"""`drydock bootstrap`, as a person types it: what it refuses without a dock, and a whole account on one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from components.state_store import DESCRIPTION
from drydock import account_state, pending
from drydock.account import Account
from drydock.account_state import AccountState
from drydock.shell import PROJECT
from stacks.control import ControlStack
from stacks.costs import resources
from tests.stacks.files import CONTROLS, control_of

RUN_SECONDS = 240
ACCOUNT = "000000000001"
BUCKET = f"drydock-state-{ACCOUNT}-us-east-1"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "drydock", "bootstrap", *arguments]


def shell(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_", "DRYDOCK_"))}
    return {**kept, "DRYDOCK_HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(home), **more}


def bootstrap(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=PROJECT,
        env=shell(home, XDG_CACHE_HOME=str(Path.home() / ".cache"), **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stack", "local"], "stack local is an environment"),
        (["--stack", "controll"], "there is no stack 'controll'"),
        (["--account", "999999999999"], "0 stack files are of kind control and account 999999999999"),
        (["--region", "eu-central-1"], "--region is eu-central-1, and Pulumi.control.yaml says us-east-1"),
        (["--stack", "control", "--account", "123456789012"], "--account is 123456789012"),
    ],
)
def test_what_does_not_fit_the_settings_is_refused_before_anything_starts(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = bootstrap(tmp_path / "home", *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert not (tmp_path / "home").exists()


def test_an_account_on_aws_takes_credentials(tmp_path: Path) -> None:
    done = bootstrap(tmp_path / "home", "--account", "123456789012", "--dry-run")
    assert done.returncode == 1
    assert "who is asking can't be told" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("stack", CONTROLS)
def test_the_checkouts_file_learns_how_the_state_is_encrypted_and_nothing_else(
    stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / f"Pulumi.{stack}.yaml"
    before = (PROJECT / file.name).read_text()
    file.write_text(before)
    monkeypatch.setattr(account_state, "PROJECT", tmp_path)
    state = AccountState(control_of(stack), Account(control_of(stack), {}), tmp_path, {})
    encryption = {"secretsprovider": "awskms://alias/drydock-state?region=us-east-1", "encryptedkey": "AQID="}
    monkeypatch.setattr(state, "_encryption", lambda: encryption)
    state.keep_in_checkout()
    after = file.read_text()
    assert yaml.safe_load(after) == {
        **{name: value for name, value in yaml.safe_load(before).items() if name != "encryptionsalt"},
        **encryption,
    }
    assert [line for line in after.splitlines() if "#" in line] == [line for line in before.splitlines() if "#" in line]
    state.keep_in_checkout()
    assert file.read_text() == after


@pytest.mark.parametrize("stack", CONTROLS)
def test_whatever_a_killed_engine_was_making_can_be_found_again(stack: str) -> None:
    made = {each.type for each in resources.of(lambda: ControlStack(control_of(stack)), stack, "drydock")}
    assert made == {*pending.IDS, pending.KEY}


# Each is printed before it is begun: a kill at the line is a kill at the boundary.
STEPS = ["secrets key", "the key's alias", "settings", "applying stack control"]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="drydock-bootstrap-"))
    root.chmod(0o711)
    home = root / "home"
    yield home
    subprocess.run([sys.executable, "-m", "drydock", "down"], cwd=PROJECT, env=shell(home), timeout=180, check=False)
    shutil.rmtree(root, ignore_errors=True)


def client(home: Path, service: str, region: str = "us-east-1") -> Any:
    url = json.loads((home / "run" / "endpoint.json").read_text())["endpoint_url"]
    return boto3.client(
        service, endpoint_url=url, region_name=region, aws_access_key_id=ACCOUNT, aws_secret_access_key="dock"
    )


def killed_at(home: Path, line: str) -> None:
    """Start it, and kill it with all that it started as soon as it prints the line."""
    with subprocess.Popen(
        command("--yes"),
        cwd=PROJECT,
        env=shell(home, XDG_CACHE_HOME=str(Path.home() / ".cache"), PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        said = []
        for printed in process.stdout:
            said.append(printed)
            if line in printed:
                break
        else:
            raise AssertionError(f"it never came to {line!r}:\n{''.join(said)}")
        os.killpg(process.pid, signal.SIGKILL)


def secrets_keys(home: Path) -> list[str]:
    kms = client(home, "kms")
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    return [key["KeyId"] for key in keys if key["Description"] == DESCRIPTION]


@pytest.mark.dock
@pytest.mark.engine
@pytest.mark.timeout(600)
class TestOnADock:
    def test_1_a_dry_run_says_what_would_be_made_and_makes_nothing(self, home: Path) -> None:
        # The dock itself runs on: it must not be in the process group that the next test kills.
        done = bootstrap(home, "--dry-run", "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert [step["state"] for step in document["steps"]] == ["to be made"] * 3 + ["as the program says"]
        assert document["state"] == f"s3://{BUCKET}?region=us-east-1"
        assert document["secrets_provider"] == "awskms://alias/drydock-state?region=us-east-1"
        assert (document["applied"], document["outputs"]) == (False, None)
        assert document["monthly_usd"] > 1
        assert client(home, "s3").list_buckets()["Buckets"] == []
        assert secrets_keys(home) == []

    def test_2_without_somebody_to_ask_nothing_is_made(self, home: Path) -> None:
        done = bootstrap(home)
        assert done.returncode == 1
        assert "nobody can be asked here: nothing was changed" in done.stderr
        assert f"S3 bucket {BUCKET}" in done.stdout
        assert client(home, "s3").list_buckets()["Buckets"] == []

    def test_3_credentials_of_another_account_are_refused(self, home: Path) -> None:
        url = json.loads((home / "run" / "endpoint.json").read_text())["endpoint_url"]
        keys = {"AWS_ACCESS_KEY_ID": "000000000002", "AWS_SECRET_ACCESS_KEY": "dock", "AWS_ENDPOINT_URL": url}
        done = bootstrap(home, "--account", "123456789012", "--yes", **keys)
        assert done.returncode == 1
        assert "are of account 000000000002" in done.stderr
        assert "stack control-production is of account 123456789012: nothing was changed" in done.stderr

    @pytest.mark.parametrize("step", [*STEPS, "aws:dynamodb:Table drydock-runs-ledger creating"])
    def test_4_killed_at_any_step(self, home: Path, step: str) -> None:
        killed_at(home, step)
        assert len(secrets_keys(home)) <= 1

    def test_5_it_is_gone_on_with_and_nothing_is_there_twice(self, home: Path) -> None:
        done = bootstrap(home, "--yes", "--json")
        assert done.returncode == 0, done.stderr
        outputs = json.loads(done.stdout)["outputs"]
        assert outputs["state_bucket"] == BUCKET
        assert len(secrets_keys(home)) == 1
        kms, s3 = client(home, "kms"), client(home, "s3")
        assert kms.get_key_rotation_status(KeyId=secrets_keys(home)[0])["KeyRotationEnabled"] is True
        names = sorted(each["Name"] for each in s3.list_buckets()["Buckets"])
        assert names == [f"drydock-{noun}-{ACCOUNT}-us-east-1" for noun in ("audit", "evidence", "state")]
        nouns = [f"drydock-runs-{noun}" for noun in ("approvals", "journal", "leases", "ledger")]
        for region in ("us-east-1", "us-west-2"):
            assert client(home, "dynamodb", region).list_tables()["TableNames"] == nouns
            manifest = client(home, "ssm", region).get_parameter(Name="/drydock/control/manifest")["Parameter"]["Value"]
            assert json.loads(manifest)["runs"]["ledger"] == "drydock-runs-ledger"
        assert client(home, "cloudtrail").get_trail_status(Name="drydock-audit")["IsLogging"] is True

    def test_6_the_state_is_in_the_bucket_and_its_secrets_are_encrypted_with_the_key(self, home: Path) -> None:
        s3 = client(home, "s3")
        body = s3.get_object(Bucket=BUCKET, Key=".pulumi/stacks/drydock/control.json")["Body"].read()
        checkpoint = json.loads(body)["checkpoint"]["latest"]
        assert checkpoint["secrets_providers"]["type"] == "cloud"
        assert checkpoint["secrets_providers"]["state"]["url"].startswith("awskms://alias/drydock-state")
        imported = {each["type"] for each in checkpoint["resources"] if each.get("importID")}
        assert imported == {"aws:kms/key:Key", "aws:kms/alias:Alias", "aws:s3/bucket:Bucket"}
        assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
        status = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
        assert set(status.values()) == {True}

    def test_7_repeated_it_changes_nothing(self, home: Path) -> None:
        began = time.monotonic()
        done = bootstrap(home, "--yes")
        assert done.returncode == 0, done.stderr
        assert "52 unchanged" in done.stdout, done.stdout
        assert time.monotonic() - began < 60
        assert len(secrets_keys(home)) == 1

    def test_8_the_checkout_is_as_it_was(self, home: Path) -> None:
        done = subprocess.run(
            ["git", "status", "--porcelain", "Pulumi.control.yaml"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
        text = (PROJECT / "Pulumi.control.yaml").read_text()
        assert "encryptedkey" not in text
        assert "adopted_key" not in text
        assert done.stdout.strip() in ("", "?? Pulumi.control.yaml")
