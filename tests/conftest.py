"""How tests are spread over workers: a module's tests stay together, the rehearsals share one environment."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        module = item.nodeid.partition("::")[0]
        group = "rehearsals" if "/rehearsals/" in module else module
        item.add_marker(pytest.mark.xdist_group(group))
