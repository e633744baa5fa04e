"""Security policies of HTTPS listeners: of each, the dock does the TLS versions; ciphers are HAProxy's own."""

from __future__ import annotations

from dock.aws.service import AwsError

DEFAULT = "ELBSecurityPolicy-2016-08"

_VERSIONS = {
    "ELBSecurityPolicy-2016-08": ("TLSv1.0", "TLSv1.2"),
    "ELBSecurityPolicy-TLS-1-1-2017-01": ("TLSv1.1", "TLSv1.2"),
    "ELBSecurityPolicy-TLS-1-2-2017-01": ("TLSv1.2", "TLSv1.2"),
    "ELBSecurityPolicy-TLS-1-2-Ext-2018-06": ("TLSv1.2", "TLSv1.2"),
    "ELBSecurityPolicy-FS-2018-06": ("TLSv1.0", "TLSv1.2"),
    "ELBSecurityPolicy-FS-1-1-2019-08": ("TLSv1.1", "TLSv1.2"),
    "ELBSecurityPolicy-FS-1-2-2019-08": ("TLSv1.2", "TLSv1.2"),
    "ELBSecurityPolicy-FS-1-2-Res-2019-08": ("TLSv1.2", "TLSv1.2"),
    "ELBSecurityPolicy-FS-1-2-Res-2020-10": ("TLSv1.2", "TLSv1.2"),
    "ELBSecurityPolicy-TLS13-1-0-2021-06": ("TLSv1.0", "TLSv1.3"),
    "ELBSecurityPolicy-TLS13-1-1-2021-06": ("TLSv1.1", "TLSv1.3"),
    "ELBSecurityPolicy-TLS13-1-2-2021-06": ("TLSv1.2", "TLSv1.3"),
    "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06": ("TLSv1.2", "TLSv1.3"),
    "ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06": ("TLSv1.2", "TLSv1.3"),
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06": ("TLSv1.2", "TLSv1.3"),
    "ELBSecurityPolicy-TLS13-1-3-2021-06": ("TLSv1.3", "TLSv1.3"),
}
_ORDER = ("TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")


def versions(name: str) -> tuple[str, str]:
    """The lowest and the highest TLS version of a policy. Raises AwsError for one that the dock doesn't know."""
    if name not in _VERSIONS:
        raise AwsError("SSLPolicyNotFoundException", f"SSL policy '{name}' not found")
    return _VERSIONS[name]


def described(names: list[str]) -> list[dict[str, object]]:
    """Policies as AWS lists them, all or those named, without their ciphers."""
    found: list[dict[str, object]] = []
    for name in names or list(_VERSIONS):
        lowest, highest = versions(name)
        protocols = list(_ORDER[_ORDER.index(lowest) : _ORDER.index(highest) + 1])
        found.append({"Name": name, "SslProtocols": protocols, "SupportedLoadBalancerTypes": ["application"]})
    return found
