"""What a machine can be short of: memory, open files, a home, a place for temporary files, a clock, locks."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anndata import AnnData

import histoscribe as hs
from histoscribe import _atomic
from histoscribe.nn import TrainConfig

from .digest import digest
from .tl import cached

pytestmark = pytest.mark.filterwarnings("ignore:image of")

MEMORY = """
import resource, sys
import numpy as np, pandas as pd, scipy.sparse as sp
from anndata import AnnData
import histoscribe as hs

def section(n):
    rng = np.random.default_rng(0)
    counts = sp.random(n, 200, 0.2, format="csr", random_state=0, data_rvs=lambda k: rng.integers(1, 5, k).astype(float))
    adata = AnnData(counts.astype(np.float32), obs=pd.DataFrame(index=np.arange(n).astype(str)))
    adata.var_names = [f"G{i}" for i in range(200)]
    adata.layers["counts"] = adata.X.copy()
    side = int(np.ceil(n ** 0.5))
    adata.obsm["spatial"] = np.column_stack(np.divmod(np.arange(n), side)) * 100.0
    adata.uns["spatial"] = {"s": {"images": {}, "scalefactors": {}, "metadata": {"mpp": 1.0}}}
    adata.obs["library_id"] = pd.Categorical(["s"] * n)
    return adata

def work(adata):
    hs.pp.spatial_graph(adata)
    hs.pp.tokenize_genes(adata, hs.pp.fit_vocabulary(adata), n_tokens=50)
    hs.pp.score_pathways(adata, {"a": [f"G{i}" for i in range(20)], "b": [f"G{i}" for i in range(30, 60)]})

hs.settings.progress = False
work(section(500))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
n = 200_000
adata = section(n)
work(adata)
assert adata.obsp["spatial_connectivities"].nnz < 20 * n
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def _run(code: str, **environment: str) -> str:
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=env, check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.weekly
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_memory_grows_with_the_spots_and_not_with_their_square() -> None:
    grown = int(_run(MEMORY)) * 1024
    assert grown < 3e9  # spots by spots, a byte each, would be 4e10


def _plain(n: int = 5) -> AnnData:
    return AnnData(np.arange(n * 3, dtype=np.float32).reshape(n, 3))


def _files(folder: Path) -> dict[str, Callable[[], Any]]:
    """Every reader, on files of its own."""
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(folder / "he.png")
    (folder / "sets.gmt").write_text("a\tx\tG1\tG2\n")
    for kind in ("h5ad", "zarr"):
        hs.io.write(_plain(), folder / f"x.{kind}")
    hs.datasets.toy(n_spots=30)
    model = hs.tl.fit_pca(hs.datasets.toy(n_spots=30, n_genes=200), n_comps=3)
    model.save(folder / "pca")

    def image() -> None:
        with hs.io.open_image(folder / "he.png", mpp=0.5) as opened:
            opened.read(0, 0, 10, 10)

    return {
        "io.read h5ad": lambda: hs.io.read(folder / "x.h5ad"),
        "io.read zarr": lambda: hs.io.read(folder / "x.zarr"),
        "io.write h5ad": lambda: hs.io.write(_plain(), folder / "y.h5ad"),
        "io.open_image": image,
        "io.read_gmt": lambda: hs.io.read_gmt(folder / "sets.gmt"),
        "nn.load": lambda: hs.nn.load(folder / "pca"),
        "Model.save": lambda: model.save(folder / "pca"),
        "tl.encode_image": lambda: cached.encode(cached.section(20)),
    }


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_no_call_leaves_a_file_open(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    calls = _files(tmp_path)
    for call in calls.values():
        call()  # what is opened once, such as an event loop, stays
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 40, limits[1]))
    try:
        for name, call in calls.items():
            for _ in range(50 if name != "io.read zarr" else 15):
                call()
            assert len(os.listdir("/proc/self/fd")) <= opened + 2, name
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_nothing_is_written_where_temporary_files_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full TMPDIR must not matter: everything is written beside its place."""
    import torch

    from histoscribe.nn._fit import fit

    from .nn.test_fit import Net

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
    hs.tl.fit_pca(hs.datasets.toy(n_spots=30, n_genes=200), n_comps=3).save(tmp_path / "pca")
    for kind in ("h5ad", "zarr"):
        hs.io.write(_plain(), tmp_path / f"x.{kind}")
    x = torch.ones(8, 6)
    fit(Net(), {"x": x, "y": x[:, 0]}, TrainConfig(epochs=1, accelerator="cpu", checkpoint_dir=tmp_path / "run"))
    assert cached.encode(cached.section())[0] == cached.N
    assert (tmp_path / "run" / "last.ckpt").is_file()
    assert not (tmp_path / "not there").exists()


@pytest.mark.parametrize("when", [0, 4_000_000_000])
def test_clocks_do_not_matter(when: int, tmp_path: Path) -> None:
    """What is cached, saved or written is known by its content, not by its time."""
    adata = cached.section()
    cached.encode(adata)
    hs.io.write(_plain(), tmp_path / "x.zarr")
    for path in (*hs.settings.cache_dir.rglob("*"), *tmp_path.rglob("*")):
        os.utime(path, (when, when))
    assert cached.encode(adata)[0] == 0
    assert digest(hs.io.read(tmp_path / "x.zarr")) == digest(_plain())
    hs.io.write(_plain(7), tmp_path / "x.zarr")
    assert hs.io.read(tmp_path / "x.zarr").n_obs == 7


def test_no_locks_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network file systems may have none."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    for name in ("flock", "lockf"):
        monkeypatch.setattr(fcntl, name, refuse)
    for name, call in _files(tmp_path).items():
        call()
        assert not list(tmp_path.rglob("*lock*")), name


@pytest.mark.weekly
def test_two_writers_of_one_path_do_not_harm_each_other(tmp_path: Path) -> None:
    for kind in ("h5ad", "zarr"):
        path = tmp_path / f"x.{kind}"
        faults: list[BaseException] = []
        hs.io.write(_plain(), path)

        def work(n: int, path: Path = path, faults: list[BaseException] = faults) -> None:
            try:
                for _ in range(4):
                    hs.io.write(_plain(n), path)
            except BaseException as error:  # noqa: BLE001 - shown below
                faults.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in (3, 6)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert hs.io.read(path).n_obs in (3, 5, 6)
        assert not faults
        assert os.listdir(tmp_path) == [path.name]
        _atomic.remove(path)


HOME = """
import os, warnings
import histoscribe as hs
from tests.tl import cached
hs.settings.progress = False
adata = hs.datasets.toy(n_spots=30, n_genes=200)
hs.pp.tile(adata); hs.pp.spatial_graph(adata); hs.tl.encode_image(adata, "mean_rgb", cache=False)
cached.encode(cached.section(), cache=False)
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    hs.tl.encode_image(adata, "mean_rgb")
    cached.encode(cached.section())
assert any("not cached" in str(w.message) for w in caught), [str(w.message) for w in caught]
print(adata.obsm["X_image"].shape)
"""


@pytest.mark.weekly
@pytest.mark.skipif(sys.platform != "linux", reason="needs users")
def test_home_that_can_not_be_written_costs_only_the_cache(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    own = {
        "HOME": str(home),
        "XDG_CACHE_HOME": "",
        "HISTOSCRIBE_CACHE": "",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    own |= {"MPLCONFIGDIR": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path)}
    assert _run(HOME, **own).strip() == "(30, 3)"
    assert not os.listdir(home)
