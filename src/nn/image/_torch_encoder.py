"""An encoder with weights: tiles in, vectors out, on any device, in full or half precision."""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..._errors import OptionError
from ._bodies import Body
from ._encoder import Tiles, Vectors, check_tiles, no_tokens
from ._exact import arithmetic, out_of_memory
from ._pixels import RULE, normalize, resize, to_device

_log = logging.getLogger("histoscribe")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything about an encoder but its network.

    Parameters
    ----------
    name, size, mpp
        As in the table of encoders.
    mean, std
        Of each channel, from 0 to 1.
    interpolation
        How tiles of another size are resized.
    pooling
        One of the poolings of the network.
    precision
        ``"32"`` or ``"bf16"``.
    weights
        Hash of the weights.
    built
        Architecture and options that the weights stand in.
    origin
        Where the weights come from: source, revision, licence, gated.
    """

    name: str
    size: int
    mpp: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    pooling: str
    precision: str
    weights: str
    built: dict[str, Any]
    origin: dict[str, Any]


class TorchEncoder:
    """A network as an encoder; :func:`~histoscribe.nn.load_encoder` makes it."""

    def __init__(self, body: Body, setup: Setup, device: torch.device) -> None:
        body.module.requires_grad_(requires_grad=False).eval().to(device)
        self.body, self.setup, self.device = body, setup, device
        self.name, self.size, self.mpp = setup.name, setup.size, setup.mpp
        self.patch = body.patch
        self._mean, self._std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (setup.mean, setup.std))
        self._most: int | None = None  # tiles that the device has room for, once it has run out
        self._dim = body.width * (2 if "+" in setup.pooling else 1) if setup.pooling != body.own else 0

    @property
    def module(self) -> nn.Module:
        """The network."""
        return self.body.module

    @property
    def dim(self) -> int:
        """Width of its vectors; one blank tile is encoded where the network does not say it."""
        if not self._dim:
            blank = np.full((1, self.size, self.size, 3), 255, dtype=np.uint8)
            self._dim = self._in_batches(blank, lambda pixels: self.body.vectors(pixels, self.setup.pooling)).shape[1]
        return self._dim

    @property
    def sha256(self) -> str:
        """Hash of weights, architecture, pooling, normalisation, size, resizing and precision."""
        s = self.setup
        parts: dict[str, Any] = {"weights": s.weights, "built": s.built, "pooling": s.pooling, "mean": s.mean}
        parts |= {
            "std": s.std,
            "size": s.size,
            "interpolation": s.interpolation,
            "rule": RULE,
            "precision": s.precision,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def record(self) -> dict[str, Any]:
        """Where it comes from and how it was run, in plain values."""
        s = self.setup
        numbers = {"pooling": s.pooling, "mean": list(s.mean), "std": list(s.std), "interpolation": s.interpolation}
        versions = {name: version(name) for name in ("torch", "timm", "transformers")}
        return {**s.origin, "weights_sha256": s.weights, **numbers, "precision": s.precision, **versions}

    def __call__(self, tiles: Any) -> Vectors:
        """Vectors (n, d) of 8-bit RGB tiles (n, height, width, 3); tiles of another size are resized."""
        checked = check_tiles(tiles)
        if not len(checked):
            return np.zeros((0, self.dim), dtype=np.float32)
        return self._in_batches(checked, self.embed)

    def dense(self, tiles: Any) -> Vectors:
        """Patch tokens (n, size // patch, size // patch, d) after the final norm, row by row from the top."""
        if self.patch is None:
            no_tokens(self.name)
        checked, side = check_tiles(tiles), self.size // self.patch
        if not len(checked):
            return np.zeros((0, side, side, self.body.width), dtype=np.float32)
        return self._in_batches(checked, self.body.dense)

    def pixels(self, tiles: Tiles) -> Tensor:
        """Input (n, 3, size, size) of the network: tiles resized and normalised, on its device."""
        pixels = resize(to_device(tiles, self.device), self.size, self.setup.interpolation)
        return normalize(pixels, self._mean, self._std)

    def embed(self, pixels: Tensor) -> Tensor:
        """Vectors (n, d) of such input; gradients pass."""
        return self.body.vectors(pixels, self.setup.pooling)

    def _in_batches(self, tiles: Tiles, step: Callable[[Tensor], Tensor]) -> Vectors:
        parts: list[Vectors] = []
        start = 0
        self.module.eval()  # whoever has it in hand may have trained it since
        while start < len(tiles):
            batch = tiles[start : start + (self._most or len(tiles))]
            part = self._attempt(batch, step)
            if part is None:
                self._halve(len(batch))
            else:
                parts.append(part)
                start += len(batch)
        return np.concatenate(parts)

    def _attempt(self, tiles: Tiles, step: Callable[[Tensor], Tensor]) -> Vectors | None:
        """Encode a batch; None where the device has no room for it."""
        try:
            with arithmetic(self.setup.precision, self.device):
                found: Vectors = step(self.pixels(tiles)).cpu().numpy()
                return found
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            if not out_of_memory(error):
                raise
            return None

    def _halve(self, n_tiles: int) -> None:
        if n_tiles == 1:
            fix = "Free memory, pass device='cpu' or precision='bf16', or take a smaller encoder."
            found = f"no memory for one tile of {self.size} px"
            raise OptionError("device", found=f"{self.device}: {found}", expected=f"room for {self.name}", fix=fix)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._most = n_tiles // 2
        _log.warning(
            "%s: %s is out of memory with %d tiles, going on with %d", self.name, self.device, n_tiles, self._most
        )
