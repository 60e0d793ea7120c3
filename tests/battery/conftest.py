"""What all checks of the battery share: libraries' own advice is no matter of ours, and the list of exceptions is told."""

from typing import Any

import matplotlib.pyplot as plt
import pytest

from .calls import CALLS
from .expected import EXPECTED


@pytest.fixture(autouse=True)
def _figures() -> Any:
    yield
    plt.close("all")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "battery" in item.path.parts:
            for category in ("SyntaxWarning", "FutureWarning", "DeprecationWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{category}"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    n = sum(map(len, EXPECTED.values()))
    terminalreporter.write_line(f"battery: {len(CALLS)} public functions and classes, {n} expected failures")
