"""What the servers of a cluster are told: `postgresql.conf`, `pg_hba.conf`, `pg_ident.conf`."""

# ruff: noqa: SIM905 - long lists of names read best as words

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dock.engines.postgres import access
from dock.engines.postgres.site import PORT, Site

# What a cluster does itself; a user's parameter of the same name is refused, by `is_reserved`.
_RESERVED = frozenset(
    "allow_system_table_mods archive_cleanup_command archive_command archive_library archive_mode bonjour"
    " bonjour_name huge_pages dynamic_library_path cluster_name config_file data_directory data_directory_mode"
    " db_user_namespace dynamic_shared_memory_type event_source ssl_dh_params_file"
    " external_pid_file fsync full_page_writes hba_file hot_standby ident_file ignore_checksum_failure"
    " ignore_invalid_pages ignore_system_indexes jit_provider krb_server_keyfile listen_addresses logging_collector"
    " log_destination log_directory log_filename log_file_mode port post_auth_delay pre_auth_delay primary_conninfo"
    " primary_slot_name promote_trigger_file recovery_end_command restart_after_crash restore_command"
    " shared_memory_type ssl ssl_ca_file ssl_cert_file ssl_crl_dir ssl_crl_file ssl_key_file"
    " ssl_passphrase_command ssl_passphrase_command_supports_reload stats_temp_directory syslog_facility syslog_ident"
    " synchronous_standby_names unix_socket_directories unix_socket_group unix_socket_permissions"
    " wal_consistency_checking wal_level wal_log_hints zero_damaged_pages max_wal_senders max_replication_slots"
    " recovery_target recovery_target_action recovery_target_inclusive recovery_target_lsn recovery_target_name"
    " recovery_target_time recovery_target_timeline recovery_target_xid superuser_reserved_connections".split()
)

# Where the dock differs from PostgreSQL's own default, and a user may differ from the dock.
_DEFAULTS = {
    "shared_buffers": "16MB",
    "max_connections": "100",
    "min_wal_size": "80MB",
    "max_wal_size": "512MB",
    "archive_timeout": "300",
    "max_slot_wal_keep_size": "1GB",
    "password_encryption": "scram-sha-256",
    "ssl_min_protocol_version": "TLSv1.2",
    "log_line_prefix": "%t:%r:%u@%d:[%p]:",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "lc_messages": "C",
    # A standby that hangs is noticed after this, not after a minute.
    "wal_sender_timeout": "10s",
    "wal_receiver_timeout": "10s",
    "wal_receiver_status_interval": "1s",
}


def is_reserved(name: str) -> bool:
    """Whether the parameter belongs to the cluster, so that nobody else may set it."""
    return name in _RESERVED


@dataclass(frozen=True, slots=True)
class Settings:
    """What the owner of a cluster decides. `parameters` are values as `postgresql.conf` has them, already checked."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    force_tls: bool = True
    standby: bool = False
    """Whether there is to be a synchronous standby."""
    archive: bool = True
    """Whether WAL is archived; without it every segment is thrown away when it is no longer needed."""


def server_configuration(
    site: Site, node: str, settings: Settings, *, synchronous: str | None, follow: str | None
) -> str:
    """The text of `postgresql.conf`. `synchronous` names the standby to wait for, `follow` the node to stream from."""
    fixed = {
        "listen_addresses": site.addresses[node],
        "port": str(PORT),
        "unix_socket_directories": str(site.sockets / node),
        "unix_socket_permissions": "0700",
        "cluster_name": f"{site.name}/{node}",
        "ssl": "on",
        "ssl_cert_file": str(site.certificate.certificate),
        "ssl_key_file": str(site.certificate.key),
        "wal_level": "replica",
        # `always`: a segment that the old primary had no time to archive is archived by the standby. Both write the
        # same bytes, and the command takes the same bytes twice.
        "archive_mode": "always",
        "archive_command": _archive_command(site) if settings.archive else "/bin/true",
        "max_wal_senders": "10",
        "max_replication_slots": "10",
        "hot_standby": "on",
        "synchronous_standby_names": f'"{synchronous}"' if synchronous else "",
        "primary_conninfo": _follow(site, node, follow) if follow else "",
        "primary_slot_name": slot(node) if follow else "",
        # A former primary that was rewound starts from a checkpoint whose segments the new one may have recycled.
        "restore_command": _restore_command(site) if follow and settings.archive else "",
        "recovery_target_timeline": "latest",
        "log_destination": "stderr",
        "logging_collector": "off",
        "huge_pages": "off",
    }
    values = {**_DEFAULTS, **settings.parameters, **fixed}
    return "".join(f"{name} = {_quote(value)}\n" for name, value in sorted(values.items()))


def write_configuration(
    site: Site, node: str, settings: Settings, *, synchronous: str | None = None, follow: str | None = None
) -> None:
    """Write all files of one node, each whole or not at all. The server sees them at its next reload or start."""
    data = site.folder / node / "data"
    server_user = site.user[0] if site.user else None
    files = {
        "postgresql.conf": server_configuration(site, node, settings, synchronous=synchronous, follow=follow),
        "pg_hba.conf": access.host_based_authentication(force_tls=settings.force_tls),
        "pg_ident.conf": access.identity_map(server_user),
        # ALTER SYSTEM's file: nobody but the dock configures a node, and pg_rewind must not bring the other's back.
        "postgresql.auto.conf": "",
    }
    for name, text in files.items():
        _write(data / name, text, site.user)


def mark_standby(site: Site, node: str) -> None:
    """Make a stopped node start as a standby. PostgreSQL itself removes the mark when the node has been promoted, so
    that a node killed in between goes on as a standby and never continues the timeline of the one before it."""
    _write(site.folder / node / "data" / "standby.signal", "", site.user)


def archive_program(site: Site) -> Path:
    """The program that `archive_command` runs."""
    return site.folder / "archive-wal"


def write_archive_program(site: Site) -> None:
    """A segment appears in the archive whole and durable under its name, or not at all; another's is never replaced.

    Plain `sh` and coreutils: the server's user need not reach the dock's own Python. `sync FILE` is fsync. Zeros take
    no room: a segment that was switched early is mostly zeros.
    """
    site.archive.mkdir(exist_ok=True)
    if site.user:
        os.chown(site.archive, *site.user)
    script = f"""#!/bin/sh
# archive-wal PATH NAME: copies one finished WAL segment to the archive.
set -eu
archive={shlex.quote(str(site.archive))}
target="$archive/$2"

# Whether a later timeline left this segment's in the middle of it. A node that follows over the switch hands in what
# it has up to there; the former primary may have handed in more before. Recovery reads neither: the new timeline's
# first segment begins with a copy.
forked() {{
    for history in "$archive"/*.history; do
        [ -e "$history" ] || continue
        while read -r timeline position _; do
            case "$position" in */*) ;; *) continue ;; esac
            low=$(printf '%08X' "0x${{position#*/}}")
            name=$(printf '%08X%08X000000%.2s' "$timeline" "0x${{position%/*}}" "$low")
            [ "$name" = "$1" ] && return 0
        done < "$history"
    done
    return 1
}}

settle() {{
    if ! cmp -s "$1" "$target" && ! forked "$2"; then
        echo "archive-wal: $2 is in the archive with other content" >&2
        exit 1
    fi
    sync "$target" "$archive"
    exit 0
}}

[ -e "$target" ] && settle "$1" "$2"
new="$archive/.$2.$$"
trap 'rm -f "$new"' EXIT
cp --sparse=always "$1" "$new"
sync "$new"
ln "$new" "$target" 2>/dev/null || settle "$1" "$2"
sync "$archive"
"""
    path = archive_program(site)
    _write(path, script, site.user)
    path.chmod(0o755)


def _restore_command(site: Site) -> str:
    return f"cp {shlex.quote(str(site.archive)).replace('%', '%%')}/%f %p"


def _archive_command(site: Site) -> str:
    # PostgreSQL replaces %p and %f, and takes %% for a percent sign.
    return shlex.quote(str(archive_program(site))).replace("%", "%%") + " %p %f"


def slot(node: str) -> str:
    """The replication slot that keeps WAL for this node."""
    return f"standby_{node}"


def _follow(site: Site, node: str, primary: str) -> str:
    # Over the Unix socket: the operating system says who comes, so no password exists that could leak.
    return f"host={_conninfo(site.sockets / primary)} port={PORT} user={access.ADMIN} application_name={node}"


def _conninfo(value: Path) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quote(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _write(path: Path, text: str, user: tuple[int, int] | None) -> None:
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if user:
        shutil.chown(temporary, *user)
    temporary.replace(path)
