"""PostgreSQL: one server, or a primary with a synchronous standby, and their backups."""

from dock.engines.postgres import access, backup, standby
from dock.engines.postgres.access import scram_verifier
from dock.engines.postgres.binaries import Binaries, MissingBinariesError
from dock.engines.postgres.catalogue import Catalogue, Parameter
from dock.engines.postgres.cluster import Cluster, Happening
from dock.engines.postgres.configuration import Settings
from dock.engines.postgres.node import PostgresError
from dock.engines.postgres.site import Site

__all__ = [
    "Binaries",
    "Catalogue",
    "Cluster",
    "Happening",
    "MissingBinariesError",
    "Parameter",
    "PostgresError",
    "Settings",
    "Site",
    "access",
    "backup",
    "scram_verifier",
    "standby",
]
