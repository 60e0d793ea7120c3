"""What all tests share: small sections with a planted truth, and the folder of real data where there is one."""

import os
from pathlib import Path

import matplotlib as mpl
import pytest

mpl.use("Agg")


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real sections; tests that need one skip where it is not there."""
    folder = os.environ.get("HISTOSCRIBE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("HISTOSCRIBE_DATA names no folder of real sections")
    return Path(folder)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what tests cache apart from the user's cache."""
    from histoscribe import settings

    monkeypatch.setattr(settings, "cache_dir", tmp_path / "cache")
