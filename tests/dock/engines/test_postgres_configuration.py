"""What PostgreSQL is told, without PostgreSQL."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dock.certificates import Certificate
from dock.engines.postgres import Binaries, MissingBinariesError, Parameter, Settings, Site, access, scram_verifier
from dock.engines.postgres.configuration import archive_program, server_configuration, write_archive_program
from dock.engines.supervisor import Supervisor
from dock.store import Store

SEGMENT = 16 * 2**20


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folder = tmp_path / "it's 100% full"
    folder.mkdir()
    return Site(
        name="rds/db-X",
        folder=folder,
        sockets=Path("/run/pg/x"),
        logs=tmp_path,
        addresses={"a": "127.99.4.1", "b": "127.99.4.2"},
        certificate=Certificate(tmp_path / "server.pem", tmp_path / "server.key"),
        user=None,
        binaries=Binaries(Path("/nonexistent"), "15.18"),
        supervisor=Supervisor(Store(tmp_path / "store.sqlite"), tmp_path),
    )


def archive(site: Site, name: str, content: bytes) -> subprocess.CompletedProcess[str]:
    """Run the archive program on a segment of this content."""
    path = site.folder / "segment"
    path.write_bytes(content)
    return subprocess.run(
        [archive_program(site), path, name], capture_output=True, text=True, timeout=20, cwd=site.folder
    )


def test_a_segment_is_archived_whole_and_the_same_again_is_fine(site: Site) -> None:
    write_archive_program(site)
    name, content = "0" * 23 + "1", os.urandom(1000) + bytes(100_000)
    for _ in range(2):
        assert archive(site, name, content).returncode == 0
    assert [path.name for path in site.archive.iterdir()] == [name]
    assert (site.archive / name).read_bytes() == content


def test_another_segment_of_the_same_name_is_refused_and_the_first_stays(site: Site) -> None:
    write_archive_program(site)
    name = "0" * 23 + "1"
    archive(site, name, b"first")
    answer = archive(site, name, b"other")
    assert answer.returncode != 0
    assert "other content" in answer.stderr
    assert (site.archive / name).read_bytes() == b"first"
    assert [path.name for path in site.archive.iterdir()] == [name]


def test_what_a_later_timeline_left_in_the_middle_is_let_pass(site: Site) -> None:
    write_archive_program(site)
    (site.archive / "00000002.history").write_text("1\t2/A3000148\tno recovery target specified\n")
    forked, before = "0000000100000002000000A3", "0000000100000002000000A2"
    for name in (forked, before):
        archive(site, name, b"whole")
    assert archive(site, forked, b"up to the fork").returncode == 0
    assert archive(site, before, b"up to the fork").returncode != 0
    assert (site.archive / forked).read_bytes() == b"whole"


def test_a_segment_that_can_not_be_read_leaves_nothing(site: Site) -> None:
    write_archive_program(site)
    answer = subprocess.run([archive_program(site), "/nonexistent", "0" * 24], capture_output=True, timeout=20)
    assert answer.returncode != 0
    assert list(site.archive.iterdir()) == []


def test_values_are_quoted_and_what_the_cluster_decides_is_not_overruled(site: Site) -> None:
    settings = Settings(parameters={"log_line_prefix": "it's \\ %m", "listen_addresses": "*", "work_mem": "8192"})
    lines = server_configuration(site, "b", settings, synchronous=None, follow="a").splitlines()
    assert "log_line_prefix = 'it''s \\\\ %m'" in lines
    assert "listen_addresses = '127.99.4.2'" in lines
    assert "work_mem = '8192'" in lines
    assert "primary_slot_name = 'standby_b'" in lines
    (command,) = [line for line in lines if line.startswith("archive_command")]
    # PostgreSQL reads %% as a percent sign.
    assert "100%% full" in command


def test_a_standby_takes_what_its_primary_has_recycled_from_the_archive(site: Site) -> None:
    """A former primary that was rewound hung for ever: the segment that it began with was gone from the new one."""
    standby = server_configuration(site, "b", Settings(), synchronous=None, follow="a")
    (command,) = [line for line in standby.splitlines() if line.startswith("restore_command")]
    assert command.startswith("restore_command = 'cp ")
    assert command.endswith("/%f %p'")
    assert "100%% full" in command
    primary = server_configuration(site, "a", Settings(), synchronous="b", follow=None)
    assert "restore_command = ''" in primary


def test_without_archiving_every_segment_is_given_up(site: Site) -> None:
    text = server_configuration(site, "a", Settings(archive=False), synchronous="b", follow=None)
    assert "archive_command = '/bin/true'" in text
    assert "synchronous_standby_names = '\"b\"'" in text


@pytest.mark.parametrize(("force", "plain"), [(True, 0), (False, 1)])
def test_sessions_without_tls_need_a_line_of_their_own(force: bool, plain: int) -> None:
    lines = access.host_based_authentication(force_tls=force).splitlines()
    assert sum(line.startswith("hostnossl") for line in lines) == plain
    assert not any("trust" in line or "md5" in line for line in lines)


def test_a_socket_path_that_is_too_long_is_refused_with_the_remedy(site: Site) -> None:
    fields: dict[str, Any] = {name: getattr(site, name) for name in Site.__slots__}
    with pytest.raises(ValueError, match="DRYDOCK_HOME"):
        Site(**{**fields, "sockets": Path("/" + "x" * 100)})


def test_a_verifier_proves_the_password_and_does_not_have_it() -> None:
    verifier = scram_verifier("Some-password-1")
    assert "Some-password-1" not in verifier
    assert verifier != scram_verifier("Some-password-1")
    mechanism, parameters, keys = verifier.split("$")
    assert mechanism == "SCRAM-SHA-256"
    iterations, salt = parameters.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", b"Some-password-1", base64.b64decode(salt), int(iterations))
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    assert keys.split(":")[0] == base64.b64encode(stored).decode()


@pytest.mark.parametrize(
    ("value", "fine"),
    [("64", True), ("63", False), ("2147483648", False), ("8MB", False), ("1e3", False), ("", False), ("nan", False)],
)
def test_a_number_is_whole_and_in_range(value: str, fine: bool) -> None:
    parameter = Parameter("work_mem", "user", "integer", "kB", "64", "2147483647", None, "4096", "")
    if fine:
        assert parameter.accept(value) == value
    else:
        with pytest.raises(ValueError, match="64-2147483647"):
            parameter.accept(value)


def test_not_a_number_is_no_real_number() -> None:
    parameter = Parameter("seq_page_cost", "user", "real", None, "0", "1.79769e+308", None, "1", "")
    assert parameter.accept("0.5") == "0.5"
    for wrong in ("nan", "inf", "-1"):
        with pytest.raises(ValueError, match="allowed values"):
            parameter.accept(wrong)


def test_missing_binaries_are_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DRYDOCK_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(MissingBinariesError, match="apt-get install postgresql"):
        Binaries.find()


def test_an_old_postgresql_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("postgres", "initdb", "pg_basebackup", "pg_rewind", "pg_verifybackup", "pg_controldata"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 13.9'\n")
        program.chmod(0o755)
    monkeypatch.setenv("DRYDOCK_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(MissingBinariesError, match=r"found: 13\.9"):
        Binaries.find()
