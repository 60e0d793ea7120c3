"""Folders of models as they should be, and what is done to their descriptions."""

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from safetensors.torch import load_file, save_file
from transformers import ViTConfig, ViTModel

from histoscribe.nn import PCA, Contrastive, Model

from ..nn._networks import TINY, network, saved
from ._pickles import in_zip

WEIGHTS, CONFIG = "model.safetensors", "config.json"
DEEP = "[" * 200_000 + "]" * 200_000


@cache
def _made() -> Path:
    """One of each, in a folder that is gone when the process ends."""
    place = Path(tempfile.mkdtemp(prefix="attacks-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    pca = Model.new(PCA(n_comps=2), {"sizes": {"genes": 5}})
    pca.module.fit(sp.csr_matrix(np.random.default_rng(0).poisson(5, (20, 5))))
    pca.save(place / "pca")
    meta = {"sizes": {"image": 3, "genes": 5}, "slots": {"image": "X", "genes": "Y"}}
    Model.new(Contrastive(dim=4, hidden=4), meta).save(place / "contrastive")
    saved(place / "timm", network(**TINY), **TINY)
    torch.manual_seed(0)
    options: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    vit = ViTModel(ViTConfig(**options, intermediate_size=24, image_size=32, patch_size=16))
    vit.save_pretrained(place / "transformers")
    return place


def copy_of(kind: str, folder: Path) -> Path:
    """A small model of a kind: two of hs.nn, one as timm and one as transformers saves it."""
    return Path(shutil.copytree(_made() / kind, folder))


def _changed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    config = json.loads((folder / CONFIG).read_text())
    change(config)
    (folder / CONFIG).write_text(json.dumps(config))


def setting(**values: Any) -> Callable[[Path, Path], object]:
    """Harm that sets entries of config.json; ``a__b`` is b in a."""

    def harm(folder: Path, canary: Path) -> None:
        def change(config: dict[str, Any]) -> None:
            for place, value in values.items():
                *outer, name = place.split("__")
                held = config
                for key in outer:
                    held = held.setdefault(key, {})
                held[name] = value

        _changed(folder, change)

    return harm


def text(content: str) -> Callable[[Path, Path], object]:
    """Harm that replaces config.json."""
    return lambda folder, canary: (folder / CONFIG).write_text(content)


def large(folder: Path, canary: Path) -> None:
    """Make config.json 100 MB of lists, which parsed would be 3 GB."""
    held = (folder / CONFIG).read_text().rstrip().removesuffix("}")
    (folder / CONFIG).write_text(f'{held}, "more": [{"[]," * 33_000_000}0]}}')


def pickle_beside(name: str) -> Callable[[Path, Path], object]:
    """Harm that puts a pickle into the folder and lets an option of config.json name it."""

    def harm(folder: Path, canary: Path) -> None:
        (folder / "evil.bin").write_bytes(in_zip(canary))
        setting(**{name: str(folder / "evil.bin") if "__" in name else "evil.bin"})(folder, canary)

    return harm


def code_beside(folder: Path, canary: Path) -> None:
    """Python code in the folder, which config.json names under a known kind of model."""
    (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w').write('ran')\nModel = Config = None\n")
    setting(auto_map={"AutoModel": "evil.Model", "AutoConfig": "evil.Config"})(folder, canary)


def flip(folder: Path, canary: Path) -> None:
    """One bit of the weights."""
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-3] ^= 1
    (folder / WEIGHTS).write_bytes(content)


def index(places: Any) -> Callable[[Path, Path], object]:
    """Harm that replaces the weights by an index of shards."""

    def harm(folder: Path, canary: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        (folder / WEIGHTS).unlink()
        save_file(tensors, folder.parent / "outside.safetensors")
        (folder / "evil.bin").write_bytes(in_zip(canary))
        held = places(folder) if callable(places) else places
        content = held if isinstance(held, str) else json.dumps({"weight_map": held})
        (folder / f"{WEIGHTS}.index.json").write_text(content)

    return harm
