"""Faults: what can go wrong in a cloud, made to happen on purpose, for a time, visibly, and always to be taken back."""

from dock.faults.model import Fault, FaultError, Kind

__all__ = ["Fault", "FaultError", "Kind"]
