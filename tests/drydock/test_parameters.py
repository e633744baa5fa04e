"""What is typed after -p: refused before anything starts, with what was expected."""

from __future__ import annotations

from typing import Any

import pytest

from drydock.errors import UsageError
from drydock.parameters import read
from operations.parameters import DeployParameters, VerifyParameters

DIGEST = "sha256:" + "a" * 64


def test_values_are_read_as_their_parameter_wants_them() -> None:
    given = ["probes=50", "probes_per_second=20", "probe_path=/1.10"]
    found = read("verify", "staging", given, apply=False)
    assert found == VerifyParameters(environment="staging", probes=50, probes_per_second=20.0, probe_path="/1.10")


def test_nothing_is_applied_unless_asked_for() -> None:
    given = [f"image_digest={DIGEST}"]
    for apply in (False, True):
        found = read("deploy", "local", given, apply=apply)
        assert isinstance(found, DeployParameters)
        assert found.dry_run is not apply


@pytest.mark.parametrize(
    ("name", "given", "apply", "expected"),
    [
        ("verify", ["probes=many"], False, r"probes: Input should be a valid integer; expected: int \(≥ 1, ≤ 10000\)"),
        ("verify", ["probes='200'"], False, "probes: Input should be a valid integer"),
        ("verify", ["probes=0"], False, "probes: Input should be greater than or equal to 1"),
        ("verify", ["probes="], False, "probes: Input should be a valid integer"),
        ("verify", ["probe=5"], False, r"verify has no such parameter; did you mean probes\? It has: platform"),
        ("verify", ["probes"], False, "'probes': give it as key=value"),
        ("verify", ["probes=5", "probes=6"], False, "probes: given twice"),
        ("verify", ["environment=production"], False, "environment: use --env"),
        ("verify", ["dry_run=false"], False, "dry_run: use --apply"),
        ("verify", ["probes=: ["], False, "probes: Input should be a valid integer"),
        ("verify", [], True, "verify changes nothing: it has no --apply"),
        ("deploy", [], False, "image_digest: missing; expected: str .* image in the service's repository"),
        ("deploy", [f"image_digest={DIGEST}", "dry_run=false"], False, "dry_run: use --apply"),
        ("deploy", [f"image_digest={DIGEST}", "migrate='false'"], False, "migrate: Input should be a valid boolean"),
        ("deploy", ["image_digest=latest"], False, "image_digest: String should match pattern"),
        ("deploi", [], False, r"there is no runbook 'deploi'; did you mean deploy\?"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_with_what_was_expected(name: str, given: list[str], apply: bool, expected: str) -> None:
    with pytest.raises(UsageError, match=expected) as refused:
        read(name, "local", given, apply=apply)
    assert refused.value.exit_code == 2


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        read("deploy", "local", ["servic=web", "desired_count=-1"], apply=False)
    for name in ("servic:", "desired_count:", "image_digest: missing"):
        assert name in refused.value.what


@pytest.mark.parametrize("environment", ["Local", "local; rm -rf", "../x", ""])
def test_an_environment_s_name_is_a_name(environment: str) -> None:
    with pytest.raises(UsageError, match="environment"):
        read("verify", environment, [], apply=False)


def test_a_secret_that_was_given_by_mistake_is_not_repeated_in_the_refusal() -> None:
    canary: Any = "canary-pasted-secret"
    with pytest.raises(UsageError) as refused:
        read("verify", "local", [f"probes={canary}", f"probe_path={canary}"], apply=False)
    assert canary not in refused.value.what
