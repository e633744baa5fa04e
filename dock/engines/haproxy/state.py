"""The file that tells a new worker what the last one knew of its servers' health."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dock.engines.haproxy.model import Group, Target

_FIELDS = (
    "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight"
    " srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state"
    " bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr"
    " srv_agent_addr srv_agent_port"
)
_DOWN, _UP = 0, 2
_CHECK_ENABLED = 6


def state_file(groups: Iterable[Group], healthy: Mapping[str, Iterable[Target]]) -> str:
    """Version 1 of HAProxy's format. A target that isn't among its group's `healthy` ones starts as down.

    Without it HAProxy would send requests to every target until its first checks have failed.
    """
    lines = ["1", f"# {_FIELDS}"]
    for group in groups:
        up = set(healthy.get(group.name, ()))
        for target in sorted(group.targets):
            state, health = (_UP, group.check.rise + group.check.fall - 1) if target in up else (_DOWN, 0)
            lines.append(
                f"0 {group.name} 0 {target.name} {target.address} {state} 0 100 100 0 1 0 {health} {_CHECK_ENABLED}"
                f" 0 0 0 - {target.port} - 0 0 - - 0"
            )
    return "\n".join(lines) + "\n"
