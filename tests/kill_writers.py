"""What writes files, with contents that tell their version: the package's writers, and those of others beside them."""

import os
import threading
import warnings
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import histoscribe as hs

from .digest import digest
from .kills import Mixed, Writer

ROWS, GENES = 3000, 400


def prepare(rows: int = ROWS) -> None:
    """Import what children need, and make it as quiet and as quick as a child should be."""
    global ROWS
    import anndata  # noqa: F401
    import h5py  # noqa: F401
    import lightning.pytorch  # noqa: F401
    import tifffile  # noqa: F401
    import torch
    import zarr  # noqa: F401

    import histoscribe.io
    import histoscribe.nn._fit
    import histoscribe.tl  # noqa: F401

    from .nn import neighbourhoods  # noqa: F401

    ROWS = rows
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    hs.settings.progress = False


def _vectors(version: int, shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(version).normal(size=shape).astype(np.float32)


# AnnData


def section(version: int) -> AnnData:
    x = _vectors(version, (ROWS, GENES))
    obs = pd.DataFrame({"version": version, "domain": pd.Categorical(["a", "b", "c"] * (len(x) // 3))})
    adata = AnnData(x, obs=obs.set_index(obs.index.astype(str)))
    adata.obsm["X_image"] = _vectors(version + 1000, (len(x), 64))
    adata.uns["version"] = version
    return adata


def _same_section(adata: AnnData) -> int:
    version = int(adata.uns["version"])
    if digest(adata) != digest(section(version)):
        raise Mixed(f"not what version {version} was")
    return version


def _read_section(name: str, folder: Path) -> int:
    return _same_section(hs.io.read(folder / name))


def _stock_section(name: str, folder: Path) -> int:
    import anndata

    return _same_section((anndata.read_zarr if name.endswith("zarr") else anndata.read_h5ad)(folder / name))


# Models


def model(version: int) -> Any:
    import torch

    made = hs.nn.Model.new(
        hs.nn.Contrastive(dim=64, hidden=512), {"sizes": {"image": 1024, "genes": 2000}, "slots": {}}
    )
    with torch.no_grad():
        for value in made.module.parameters():
            value.fill_(version)
    made.meta["version"] = version
    return made


def _read_model(folder: Path) -> int:
    loaded = hs.nn.load(folder / "x")
    if any((value != loaded.meta["version"]).any() for value in loaded.module.parameters()):
        raise Mixed("weights of another version")
    return int(loaded.meta["version"])


def _save_tensors(folder: Path, made: Any) -> None:
    import torch

    torch.save({"version": made.meta["version"], "weights": made.module.state_dict()}, folder / "x.pt")


def _read_tensors(folder: Path) -> int:
    import torch

    held = torch.load(folder / "x.pt", weights_only=True)
    parameters = [value for name, value in held["weights"].items() if "scale" not in name]
    if any(value.is_floating_point() and len(value.unique()) > 1 for value in parameters):
        raise Mixed("weights of two versions")
    return int(held["version"])


def anew() -> bool:
    """Whether a run starts without what is there; by chance, it does not depend on it."""
    return bool(os.getpid() % 2)


# Checkpoints: a run that is resumed; its version is how often it was started.


def _train(folder: Path, content: Any, *, resume: bool = True) -> None:
    from histoscribe.nn._fit import fit

    net, data, *more = content
    options: dict[str, Any] = {"epochs": 8, "batch_size": 64, "accelerator": "cpu", "patience": None, **dict(*more)}
    fit(net, data, hs.nn.TrainConfig(**options, checkpoint_dir=folder / "x", resume=resume))


def _net(_: int = 0) -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.Linear(200, 1500), nn.GELU(), nn.Linear(1500, 1))

        def loss(self, batch: Any) -> dict[str, Any]:
            return {"loss": (self.body(batch["x"]).squeeze(-1) - batch["y"]).square().mean()}

    x = torch.from_numpy(_vectors(0, (256, 200)))
    return Net(), {"x": x, "y": x[:, 0]}


def _end(folder: Path, make: Any) -> bytes:
    """Weights at the end of a run."""
    content = make(0)
    _train(folder, content)
    return b"".join(value.numpy().tobytes() for value in content[0].state_dict().values())


def _read_checkpoint(folder: Path, make: Any = _net) -> int | None:
    """Go on from what is there: the weights at the end must be those of a run that nobody killed."""
    import shutil
    import tempfile

    if not (folder / "x" / "last.ckpt").exists():
        return None
    whole = folder.parent / f"{folder.name}_whole"
    if not whole.exists():  # the same for every kill
        with tempfile.TemporaryDirectory() as other:
            whole.write_bytes(_end(Path(other), make))
    with tempfile.TemporaryDirectory() as other:
        shutil.copytree(folder / "x", Path(other) / "x")
        if _end(Path(other), make) != whole.read_bytes():
            raise Mixed("other weights at the end")
    return 0


def _encoder(_: int = 0, *, workers: int = 0, **options: Any) -> Any:
    """Return a gene encoder and neighbourhoods: epochs of the spot alone, then with its neighbours."""
    from .nn.neighbourhoods import encoder, rows

    train = {"epochs": 6, "batch_size": 32, "lr": 1e-2, "num_workers": workers}
    return encoder(dim=32, depth=2, dropout=0.1, **options), rows(300), train


def _train_anew(folder: Path, content: Any) -> None:
    _train(folder, content, resume=not anew())  # over the old file


# Caches: what is there must be right, and what is missing is made.


def _clear(folder: Path) -> None:
    """Remove whole files, not what others left of theirs."""
    import shutil

    if anew():
        for path in folder.glob("x/*/[!.]*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _encode(folder: Path, content: Any, **options: Any) -> Any:
    from histoscribe.tl import _feature_cache

    from .tl.cached import Counting
    from .tl.cached import section as tiles

    class Slow(Counting):
        def __call__(self, pixels: Any) -> Any:
            return np.repeat(super().__call__(pixels), 200, axis=1)

    _feature_cache.CHUNK_ROWS = 64
    hs.settings.cache_dir = folder / "x"
    adata = tiles(600)
    adata.uns["spatial"]["S1"]["images"]["hires"][0, 0, 0] = content
    hs.tl.encode_image(adata, Slow(), **options)
    return adata.obsm["X_image"]


def _encode_anew(folder: Path, content: Any) -> None:
    _clear(folder)
    _encode(folder, content)


def _read_features(folder: Path) -> None:
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory() as other:  # the reader makes what is missing
        shutil.copytree(folder / "x", Path(other) / "x", ignore_dangling_symlinks=True)
        if not np.array_equal(_encode(Path(other), 7), _encode(Path(other), 7, cache=False)):
            raise Mixed("other vectors")


def _pixels(version: int) -> Any:
    return np.random.default_rng(0).integers(0, 255, (2500, 2500, 3), dtype=np.uint8)


def _keep(folder: Path, pixels: Any) -> None:
    from histoscribe.io import _link

    _clear(folder)
    _link._IN_MEMORY_PX = 0
    hs.settings.cache_dir = folder / "x"
    _link.keep_array(pixels, mpp=0.5)


def _read_kept(folder: Path) -> None:
    for path in (folder / "x" / "images").glob("[!.]*.tif"):
        with hs.io.open_image(path) as image:
            if digest(image.read(0, 0, image.width, image.height)) != digest(_pixels(0)):
                raise Mixed(path.name)


def _fetch(folder: Path, content: Any) -> None:
    """Download from a server in a thread of this process."""
    _clear(folder)
    import hashlib

    from histoscribe._files import Remote, fetch

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    os.environ.pop("HISTOSCRIBE_DATA", None)
    hs.settings.cache_dir = folder / "x"
    served = serve(folder, content)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{content}.bin"
        fetch(Remote(f"{content}.bin", hashlib.sha256(_payload(content)).hexdigest(), url))


def serve(folder: Path, content: int) -> Path:
    """Folder with the file that is downloaded."""
    served = folder.parent / f"{folder.name}_served"
    if not (path := served / f"{content}.bin").exists():
        served.mkdir()
        path.write_bytes(_payload(content))
    return served


def _payload(content: int) -> bytes:
    return np.random.default_rng(content).bytes(20_000_000)


def _read_fetched(folder: Path) -> None:
    for path in (folder / "x" / "data").glob("[!.]*.bin"):
        if path.read_bytes() != _payload(int(path.stem)):
            raise Mixed(path.name)


def _training(name: str, **options: Any) -> Writer:
    make = partial(_encoder, **options)
    return Writer(name, make, partial(_train, resume=False), partial(_read_checkpoint, make=make), keeps=False)


TRAINING = (
    _training("training of the gene encoder"),
    _training("the same, context as a set", context="set"),
    _training("the same, a worker loads the data", workers=1),
)
H5AD, ZARR = "x.h5ad", "x.zarr"
OURS = (
    Writer("hs.io.write, h5ad", section, lambda f, a: hs.io.write(a, f / H5AD), partial(_read_section, H5AD)),
    Writer("hs.io.write, zarr", section, lambda f, a: hs.io.write(a, f / ZARR), partial(_read_section, ZARR)),
    Writer("Model.save", model, lambda f, m: m.save(f / "x"), _read_model),
    Writer("checkpoints of training", _net, _train_anew, _read_checkpoint, keeps=False),
    TRAINING[0],
    Writer("feature cache", lambda v: 7, _encode_anew, _read_features, keeps=False),
    Writer("cached OME-TIFF", _pixels, _keep, _read_kept, keeps=False),
    Writer("download", lambda v: 0, _fetch, _read_fetched, keeps=False),
)


OTHERS = (
    Writer("adata.write_h5ad", section, lambda f, a: a.write_h5ad(f / H5AD), partial(_stock_section, H5AD)),
    Writer("adata.write_zarr", section, lambda f, a: a.write_zarr(f / ZARR), partial(_stock_section, ZARR)),
    Writer("torch.save", model, _save_tensors, _read_tensors),
)
