import subprocess
import sys

import pytest


@pytest.mark.weekly
def test_importing_tl_loads_no_trainer_and_no_scanpy() -> None:
    heavy = ("lightning", "scanpy", "sklearn", "skimage", "squidpy", "igraph")
    script = f"import sys, histoscribe.tl; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
