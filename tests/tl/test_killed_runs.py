import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData

import histoscribe as hs
from histoscribe.tl import _feature_cache

from . import cached
from .cached import N, chunks, encode, section, stores

pytestmark = pytest.mark.filterwarnings("ignore:image of")  # there is no file: pixels are in uns


@pytest.fixture
def adata(monkeypatch: pytest.MonkeyPatch) -> AnnData:
    monkeypatch.setattr(_feature_cache, "CHUNK_ROWS", 8)
    return section()


SCRIPT = """
import os, signal, sys, time, warnings
from pathlib import Path
import numpy as np
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
import anndata, zarr
import histoscribe as hs
from histoscribe.tl import _encode_image, _feature_cache
import cached

hs.settings.cache_dir, hs.settings.progress = Path(sys.argv[2]), False
_feature_cache.CHUNK_ROWS = 8

def child(pipe):
    class Slow(cached.Counting):
        def __call__(self, tiles):
            os.write(pipe, b".")
            time.sleep(0.002)
            return super().__call__(tiles)
    hs.tl.encode_image(cached.section(), Slow(), batch_size=4)

def start():
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            child(theirs)
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    return pid, ours

for calls, wait in [(1, 0.0), (3, 0.0), (3, 0.003), (4, 0.001), (5, 0.004), (4, 0.002)]:
    pid, pipe = start()
    for _ in range(calls):
        os.read(pipe, 1)
    time.sleep(wait)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(pipe)
hs.settings.cache_dir = Path(sys.argv[3])
started = [start() for _ in range(3)]
for pid, _ in started:
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.fixture(scope="module")
def other_processes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Caches that other processes left: one of runs that were killed, one of three runs at once."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "script.py").write_text(SCRIPT)
    shutil.copy(cached.__file__, folder)
    killed, together = folder / "killed", folder / "together"
    command = [sys.executable, str(folder / "script.py"), str(folder), str(killed), str(together)]
    subprocess.run(command, check=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return killed, together


@pytest.mark.weekly
def test_killed_runs_continue(
    adata: AnnData, other_processes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hs.settings, "cache_dir", other_processes[0])
    marked = sum(not file.suffix for store in stores() for file in chunks(store, "marks"))
    assert 0 < marked < 8  # some work was done, none of the runs came to its end
    n, vectors = encode(adata, batch_size=4)
    assert n <= N - 8 * marked + 4  # the last chunk has four rows
    np.testing.assert_array_equal(vectors, encode(adata, cache=False)[1])
    assert encode(adata)[0] == 0


@pytest.mark.weekly
def test_processes_at_once_do_not_harm_each_other(
    adata: AnnData, other_processes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hs.settings, "cache_dir", other_processes[1])
    n, vectors = encode(adata)
    assert n == 0
    np.testing.assert_array_equal(vectors, encode(adata, cache=False)[1])
