"""The table of prices: a dated file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

TABLE = Path(__file__).with_name("prices.yaml")


@cache
def table() -> dict[str, Any]:
    """The prices, their date and the usage that is assumed."""
    loaded: dict[str, Any] = yaml.safe_load(TABLE.read_text())
    return loaded
