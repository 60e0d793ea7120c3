"""What all tests share: small sections with a planted truth, and the folder of real data where there is one."""

import os
import signal
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the processors: more threads would spin and wait for each other
    import numba
    import scipy.linalg  # noqa: F401 - brings the OpenBLAS that is to be held
    import torch
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)  # not by variables, which come too late for numpy
    numba.set_num_threads(1)

import matplotlib as mpl
import pytest

mpl.use("Agg")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background jobs, and in all that these start
    signal.signal(signal.SIGINT, signal.default_int_handler)

SPREAD = "tests/battery/"  # its files are long, and what they share is quickly made


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For ``--dist loadfile``: files go whole to a worker, as what they prepare is dear; of long ones parts do.

    The parts come last, and fill what the files leave of the workers' time.
    """
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            if file.endswith("test_bad_inputs.py"):  # rows of a letter share clean results
                return f"{file}::{test[:10]}"
            return nodeid if nodeid.startswith(SPREAD) else file

    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Take back what numba's thread pool makes of torch's number of threads."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


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
