"""Redis or Valkey: nodes with TLS and an access list, and a primary with replicas that take its place."""

from dock.engines.redis.configuration import SAVE_SECONDS, Configuration, digest
from dock.engines.redis.node import Node, NodeError, Place, State
from dock.engines.redis.replication import Replication
from dock.engines.redis.server import Server, installed, what_is_missing
from dock.engines.redis.topology import Fronts, Keeper, Topology

__all__ = [
    "SAVE_SECONDS",
    "Configuration",
    "Fronts",
    "Keeper",
    "Node",
    "NodeError",
    "Place",
    "Replication",
    "Server",
    "State",
    "Topology",
    "digest",
    "installed",
    "what_is_missing",
]
