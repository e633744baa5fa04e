"""Sets of addresses, in which a request's is found without looking at each entry."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressList:
    """Addresses and networks. A look-up costs as much as there are different prefix lengths."""

    def __init__(self, entries: Iterable[str] = ()) -> None:
        """Raises ValueError for an entry that is neither an address, a network, nor a range `A..B`."""
        self._networks: dict[tuple[int, int], set[int]] = {}
        for entry in entries:
            for network in networks(entry):
                key = (network.version, network.max_prefixlen - network.prefixlen)
                self._networks.setdefault(key, set()).add(int(network.network_address) >> key[1])

    def __contains__(self, address: object) -> bool:
        if not isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address):
            return False
        number = int(address)
        return any(
            version == address.version and number >> shift in found
            for (version, shift), found in self._networks.items()
        )


def networks(entry: str) -> list[Network]:
    """Raises ValueError."""
    if ".." in entry:
        first, last = (ipaddress.ip_address(each) for each in entry.split("..", 1))
        return list(ipaddress.summarize_address_range(first, last))
    return [ipaddress.ip_network(entry)]
