"""Small networks in folders, and a hub that is not there: what rows on models and weights spoil."""

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray

import histoscribe as hs

from ..nn._networks import TINY, network, saved, tiles_of
from .row import Try
from .sections import pca, prepared, token_model

VIT = "vit_tiny_patch16_224"
COMMIT = "9ed0990" + "0" * 33


def _never(*args: Any, **options: Any) -> Any:
    raise AssertionError("the network was asked")


def empty() -> Path:
    """Make a folder that is gone when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="histoscribe-rows-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _tiny() -> Path:
    return saved(empty() / "tiny", network(**TINY), **TINY)


def tiny() -> Path:
    """A vision transformer of two blocks, as timm saves it."""
    return Path(shutil.copytree(_tiny(), empty() / "tiny"))


@cache
def _converted() -> Path:
    folder = empty() / "converted"
    hs.nn.convert_weights(_tiny() / "model.safetensors", folder, architecture=VIT, options=TINY)
    return folder


def converted() -> Path:
    """The same, as nn.convert_weights writes it."""
    return Path(shutil.copytree(_converted(), empty() / "converted"))


def pickled() -> Path:
    """The same with its weights in a pickle."""
    from safetensors.torch import load_file

    folder = tiny()
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def model() -> Path:
    """A gene encoder, saved."""
    folder = empty() / "pca"
    pca().save(folder)
    return folder


def token_folder() -> Path:
    """A gene encoder over tokens, saved."""
    folder = empty() / "tokens"
    token_model().save(folder)
    return folder


def oversized(option: str, value: int) -> Path:
    """The same, described as a far larger network."""
    return described(token_folder(), lambda config: config["options"].update({option: value}))


def described(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Change config.json of a folder."""
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def retensored(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Change the tensors of a folder."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    return folder


def flipped(folder: Path) -> Path:
    """Flip one bit of the weights."""
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-3] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    return folder


def in_hub(folder: Path, repo: str, commit: str = COMMIT) -> Path:
    """A hub's cache that holds the folder under a repository's name, with links as the hub makes them."""
    cached = empty()
    root = cached / f"models--{repo.replace('/', '--')}"
    for sub in ("blobs", "refs", f"snapshots/{commit}"):
        (root / sub).mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    for k, path in enumerate(sorted(folder.iterdir())):
        shutil.copy(path, root / "blobs" / str(k))
        (root / "snapshots" / commit / path.name).symlink_to(f"../../blobs/{k}")
    return cached


@contextmanager
def hub(cached: Path, *, error: Exception | None = None, token: str | None = None) -> Iterator[None]:
    """A hub with this cache: every call over the network fails with ``error``, and without one there is no network."""
    import huggingface_hub

    def failing(*args: Any, **options: Any) -> Any:
        raise error if error is not None else AssertionError("the network was asked")

    with ExitStack() as held:
        enter = held.enter_context
        enter(patch.object(huggingface_hub.constants, "HF_HUB_CACHE", str(cached)))
        enter(patch("histoscribe.nn._hub.online", lambda url: error is not None))
        for name in ("file_exists", "hf_hub_download", "list_repo_commits"):
            enter(patch.object(huggingface_hub, name, failing))
        enter(patch.object(huggingface_hub, "get_token", lambda: token))
        enter(patch("socket.getaddrinfo", _never))
        enter(patch("socket.socket.connect", _never))
        yield


def encoded(adata: AnnData, encoder: Any, **options: Any) -> AnnData:
    """``tl.encode_image`` without its cache."""
    hs.tl.encode_image(adata, encoder, cache=False, **options)
    return adata


def section() -> AnnData:
    """Eight spots with tiles."""
    return prepared()[:8].copy()


def vectors(encoder: Any) -> NDArray[np.float32]:
    """Vectors of two tiles."""
    found: NDArray[np.float32] = encoder(tiles_of(2, encoder.size))
    return found


def encoders() -> dict[str, Try]:
    """Call whatever takes a folder with an encoder."""
    return {
        "nn.load_encoder": lambda folder: hs.nn.load_encoder(f"local-dir:{folder}"),
        "tl.encode_image": lambda folder: encoded(section(), f"local-dir:{folder}"),
    }
