"""Loopback addresses: each dock has a block of its own, each engine an address of its own."""

from __future__ import annotations

import random
import socket
from enum import StrEnum
from pathlib import Path

from dock.store import EVERYWHERE, Store


class Pool(StrEnum):
    """What an address is for; see the table in docs/architecture.md."""

    LOAD_BALANCER = "load-balancer"
    DATABASE_ENDPOINT = "database-endpoint"
    CACHE_ENDPOINT = "cache-endpoint"
    NODE = "node"
    EDGE = "edge"
    TASK = "task"


# The third octets of each pool.
_OCTETS: dict[Pool, range] = {
    Pool.LOAD_BALANCER: range(1, 2),
    Pool.DATABASE_ENDPOINT: range(2, 3),
    Pool.CACHE_ENDPOINT: range(3, 4),
    Pool.NODE: range(4, 5),
    Pool.EDGE: range(5, 6),
    Pool.TASK: range(8, 16),
}
FRONT_DOOR_PORT = 4566
# In /proc/net/tcp: a connection that is over, whose address anybody may take.
_TIME_WAIT = "06"
# The other one is for a daemon that may not bind ports below 1024.
DNS_PORT, DNS_OTHER_PORT = 53, 5353


class Addresses:
    """Hands out addresses of this dock's block `127.N.0.0/16`, durably: an owner keeps its address over restarts."""

    def __init__(self, store: Store) -> None:
        self._allocations = store.table("address")
        self._settings = store.table("setting")
        block = self._settings.get(EVERYWHERE, "block")
        # Held for as long as this process lives: a dock that is being made elsewhere takes another block.
        self._claim: socket.socket | None
        if block is None:
            octet, self._claim = _unused_octet()
            block = {"octet": octet}
            self._settings.put(EVERYWHERE, "block", block)
        else:
            self._claim = _claimed(block["octet"])
        self.octet: int = block["octet"]

    @property
    def front_door(self) -> str:
        return f"127.{self.octet}.0.1"

    @property
    def emulator(self) -> str:
        return f"127.{self.octet}.0.2"

    @property
    def cloudflare(self) -> str:
        return f"127.{self.octet}.0.3"

    @property
    def dns(self) -> tuple[str, int]:
        """Where the DNS server listens: on port 53 where the daemon may bind it, else on 5353. Chosen once."""
        address = f"127.{self.octet}.0.53"
        kept = self._settings.get(EVERYWHERE, "dns")
        if kept is None:
            kept = {"port": DNS_PORT if _may_bind(address, DNS_PORT) else DNS_OTHER_PORT}
            self._settings.put(EVERYWHERE, "dns", kept)
        return address, int(kept["port"])

    @property
    def relays(self) -> str:
        """Where bad stretches of network listen, while a fault of the network is on."""
        return f"127.{self.octet}.0.4"

    def allocate(self, pool: Pool, owner: str) -> str:
        """The address of `owner` (for example `rds/db-ABC/primary`), the same each time it is asked for.

        Raises RuntimeError when the pool is used up.
        """
        known = self._allocations.get(EVERYWHERE, owner)
        if known is not None:
            return str(known["address"])
        taken = {record["address"] for _, _, record in self._allocations.all()}
        for third in _OCTETS[pool]:
            for fourth in range(1, 255):
                address = f"127.{self.octet}.{third}.{fourth}"
                if address not in taken:
                    self._allocations.put(EVERYWHERE, owner, {"address": address, "pool": pool.value})
                    return address
        raise RuntimeError(f"the dock has no {pool.value} address left: remove what is not used any more")

    def release(self, owner: str) -> None:
        """Give the owner's address back; nothing happens when it has none."""
        self._allocations.delete(EVERYWHERE, owner)


def _may_bind(address: str, port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(type=kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def _unused_octet() -> tuple[int, socket.socket]:
    """A second octet on which nothing listens now and which no other process has just chosen, and the claim to it.
    Chosen at random so that docks made at once rarely meet."""
    listening = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local = fields[1].split(":")[0]
        first, second = int(local[6:8], 16), int(local[4:6], 16)
        if first == 127 and fields[3] != _TIME_WAIT:
            listening.add(second)
    free = [octet for octet in range(64, 250) if octet not in listening]
    random.shuffle(free)
    for octet in free:
        if (claim := _claimed(octet)) is None:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((f"127.{octet}.0.1", FRONT_DOOR_PORT))
            except OSError:
                claim.close()
                continue
            return octet, claim
    raise RuntimeError("no free block 127.N.0.0/16 for a dock: something listens on port 4566 of every address")


def _claimed(octet: int) -> socket.socket | None:
    """A name that only one process can have, and that is free again the moment it ends; None when another has it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0drydock-127.{octet}")
    except OSError:
        claim.close()
        return None
    return claim
