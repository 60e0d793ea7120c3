"""A small section, an encoder that counts its tiles, and the folder of what is cached of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

import histoscribe as hs
from histoscribe._keys import Keys, LibraryKeys

N = 60


class Counting:
    """Mean colour and position of the darkest pixel; counts the tiles that it sees."""

    name, size, mpp, sha256 = "counting", 16, 0.5, "counting"

    def __init__(self) -> None:
        self.n_tiles = 0

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.n_tiles += len(tiles)
        darkest = tiles[..., 0].reshape(len(tiles), -1).argmin(axis=1)
        return np.column_stack([tiles.mean(axis=(1, 2)), darkest]).astype(np.float32)


def section(n: int = N, *, seed: int = 0) -> AnnData:
    rng = np.random.default_rng(seed)
    adata = AnnData(np.ones((n, 1), dtype=np.float32), obs=pd.DataFrame(index=[str(i) for i in range(n)]))
    adata.obsm[Keys.TILES] = np.column_stack([rng.uniform(0, 240, (n, 2)), np.full((n, 2), 16.0)])
    adata.uns[Keys.LIBRARIES] = {
        "S1": {
            LibraryKeys.IMAGES: {LibraryKeys.HIRES: rng.integers(0, 255, (256, 256, 3), dtype=np.uint8)},
            LibraryKeys.SCALEFACTORS: {LibraryKeys.HIRES_SCALE: 1.0},
            LibraryKeys.METADATA: {LibraryKeys.MPP: 0.5},
        }
    }
    return adata


def encode(adata: AnnData, encoder: Any = None, **options: Any) -> tuple[int, NDArray[np.float32]]:
    """Tiles that were encoded, and the vectors."""
    encoder = encoder or Counting()
    hs.tl.encode_image(adata, encoder, **options)
    return encoder.n_tiles, adata.obsm[Keys.X_IMAGE].copy()


def stores() -> list[Path]:
    return sorted((hs.settings.cache_dir / "features").glob("*.zarr"))


def chunks(store: Path, array: str = "vectors") -> list[Path]:
    return sorted((file for file in (store / array / "c").rglob("*") if file.is_file()), key=lambda f: f.parent.name)
