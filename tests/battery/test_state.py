"""A call leaves random states, threads, warnings, logs, figures, files and folders of the process as they were."""

from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from . import material
from .applied import applied
from .call import Call
from .running import threads
from .state import changed, draw, snapshot


@applied("state")
def test_process_is_as_before(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    adata = material.section()
    given = call.arguments(adata)
    call.function(**given)  # what libraries do when they are imported is theirs
    plt.close("all")
    draw()
    with threads(2):  # so that one that is left behind is seen
        before = snapshot()
        returned = call.function(**given)
        if call.returns == "figure":  # the one that is returned stays open, for the user to show
            assert len(plt.get_fignums()) == len(before["figures"]) + 1
        plt.close("all")
        del returned
        assert changed(before, snapshot()) == {}
