"""The plugin talks to a dock on this machine, to the account that the stack allows, or to nobody."""

from __future__ import annotations

import pytest

from dock.providers.aws.cloud import Cloud
from dock.providers.aws.configuration import Configuration
from dock.providers.errors import ProviderError
from tests.providers.fakes import ScriptedCloud


def configured(**settings: object) -> Configuration:
    return Configuration(access_key="000000000001", secret_key="dock", max_retries=0, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["https://ec2.us-east-1.amazonaws.com", "http://10.0.0.1:4566", "http://[::2]:4566", "nonsense"]
)
def test_an_endpoint_that_is_not_this_machine_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(ProviderError, match="only talks to a dock on this machine"):
        _ = Cloud(configured()).account


def test_without_an_endpoint_nothing_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with pytest.raises(ProviderError, match=r"AWS_ENDPOINT_URL is not set.*drydock env"):
        _ = Cloud(configured()).account


def test_an_endpoint_of_the_program_is_held_to_the_same(offline: None) -> None:
    cloud = Cloud(configured(endpoints={"sts": "https://sts.amazonaws.com"}))
    with pytest.raises(ProviderError, match="only talks to a dock on this machine"):
        _ = cloud.account


def test_a_dock_that_is_not_running_is_said_with_the_command(offline: None) -> None:
    with pytest.raises(ProviderError, match=r"the dock is not running .* run `drydock up`"):
        _ = Cloud(configured()).account


def test_a_stack_of_another_account_is_refused_with_the_reason() -> None:
    cloud = ScriptedCloud(
        {"GetCallerIdentity": {"Account": "000000000001"}}, configured(allowed_accounts=("123456789012",))
    )
    cloud._account, cloud.stack = None, "production"
    with pytest.raises(ProviderError) as refusal:
        cloud.call("ec2", "us-east-1", "CreateVpc", {})
    assert str(refusal.value) == (
        "this shell is attached to the dock, whose account is 000000000001; stack production allows only 123456789012, "
        "so nothing was changed. To apply it to AWS use a shell without `drydock env`."
    )
    assert [name for name, _ in cloud.calls] == ["GetCallerIdentity"]


def test_the_reason_is_given_at_length_once() -> None:
    cloud = ScriptedCloud({"GetCallerIdentity": {"Account": "000000000001"}}, configured(allowed_accounts=("1" * 12,)))
    cloud._account = None
    said = []
    for _ in range(2):
        with pytest.raises(ProviderError) as refusal:
            _ = cloud.account
        said.append(str(refusal.value))
    assert "use a shell without `drydock env`" in said[0]
    assert said[1] == "not made: the dock's account is 000000000001; this stack allows only 111111111111"


def test_a_forbidden_account_is_refused() -> None:
    cloud = ScriptedCloud(
        {"GetCallerIdentity": {"Account": "000000000001"}}, configured(forbidden_accounts=("000000000001",))
    )
    cloud._account = None
    with pytest.raises(ProviderError, match="this stack forbids it"):
        _ = cloud.account


def test_the_account_is_asked_for_once() -> None:
    cloud = ScriptedCloud(
        {"GetCallerIdentity": {"Account": "000000000001"}}, configured(allowed_accounts=("000000000001",))
    )
    cloud._account = None
    for _ in range(3):
        cloud.call("ec2", "us-east-1", "DescribeVpcs", {})
    assert len(cloud.asked("GetCallerIdentity")) == 1
