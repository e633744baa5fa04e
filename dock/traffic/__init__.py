"""Traffic: users at a steady rate, and a record of what each of them saw.

`users.py` does what a user does, `load.py` decides when, `record.py` keeps every answer, `losses.py` looks for what was
acknowledged and is gone, `report.py` and `plot.py` tell it.
"""

from dock.traffic.load import Load, Shape
from dock.traffic.record import Record

__all__ = ["Load", "Record", "Shape"]
