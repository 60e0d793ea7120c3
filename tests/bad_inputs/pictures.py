"""A section whose spots are discs of a colour of their own, its image in any form, and what is seen where a spot lies."""

import io
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.sparse as sp
import tifffile
from anndata import AnnData
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

import histoscribe as hs

MPP = 2.0
WIDTH, HEIGHT, RADIUS, N = 330, 280, 9, 30
_ROOT = tempfile.TemporaryDirectory(prefix="bad_inputs_")  # removed when the process ends


def folder() -> Path:
    """A folder that nobody else writes to."""
    return Path(tempfile.mkdtemp(dir=_ROOT.name))


@contextmanager
def quiet() -> Iterator[None]:
    """Let builders make what warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def places() -> NDArray[np.float64]:
    """Spot centres (30, 2), in six columns and five rows."""
    row, column = np.divmod(np.arange(N), 6)
    return np.column_stack([40 + 50 * column, 38 + 50 * row]).astype(float)


def colours() -> NDArray[np.uint8]:
    """Colour of each spot's disc (30, 3)."""
    k = np.arange(N)
    return np.column_stack([4 * k + 20, 240 - 6 * k, np.full(N, 90)]).astype(np.uint8)


def painted(xy: NDArray[np.float64] | None = None, *, size: tuple[int, int] = (WIDTH, HEIGHT)) -> NDArray[np.uint8]:
    """The image: discs on white."""
    return _painted(np.asarray(places() if xy is None else xy, dtype=np.float64).tobytes(), size).copy()


@cache
def _painted(centres: bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    pixels = np.full((size[1], size[0], 3), 255, dtype=np.uint8)
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    for (column, row), colour in zip(np.frombuffer(centres).reshape(-1, 2), colours(), strict=True):
        pixels[np.hypot(x - column, y - row) < RADIUS] = colour
    return pixels


def bare(xy: NDArray[np.float64] | None = None) -> AnnData:
    """Counts and positions, as another reader leaves them."""
    counts = np.random.default_rng(0).poisson(3.0, (N, 5)).astype(np.float32)
    adata = AnnData(counts)
    adata.obs_names = [f"spot{k}" for k in range(N)]
    adata.obsm["spatial"] = places() if xy is None else xy
    return adata


def linked(image: Any, *, xy: NDArray[np.float64] | None = None, tiles: bool = True, **options: Any) -> AnnData:
    """The section with that image, and tiles of 12 pixels within the discs."""
    adata = bare(xy)
    with quiet():
        hs.io.link_image(adata, image, **{"mpp": MPP, "library_id": "s", **options})
        if tiles:
            hs.pp.tile(adata, size_um=12 * MPP)
    return adata


def saved(pixels: NDArray, name: str = "image.png", **options: Any) -> Path:
    """The image as a file in a folder of its own."""
    path = folder() / name
    if path.suffix in (".tif", ".svs"):
        rgb = pixels.ndim == 3 and pixels.shape[2] in (3, 4)
        layout = {"photometric": "rgb" if rgb else "minisblack"} | (
            {"planarconfig": "contig"} if pixels.ndim == 3 else {}
        )
        tifffile.imwrite(path, pixels, **layout | options)
    else:
        Image.fromarray(pixels).save(path, **options)
    return path


def whole(image: Any, **options: Any) -> NDArray:
    """All pixels that the reader gives."""
    with hs.io.open_image(image, **options) as opened:
        return opened.read(0, 0, opened.width, opened.height)


def seen(adata: AnnData, side: float = 4.0) -> NDArray[np.float64]:
    """Mean colour (n, channels) of the linked image around each position."""
    xy = np.asarray(adata.obsm["spatial"])
    with hs.io.open_image(adata) as image:
        out = np.empty((len(xy), image.n_channels))
        for rows, batch in image.read_tiles(np.hstack([xy - side / 2, np.full_like(xy, side)]), 4):
            out[rows] = batch.mean(axis=(1, 2))
    return out


def on_their_colours(adata: AnnData, *, atol: float = 1.5) -> None:
    """See that each spot lies on the disc that is painted in its colour; rows are in the painted order."""
    np.testing.assert_allclose(seen(adata), colours(), atol=atol)


def encoded_colours(adata: AnnData, *, atol: float = 0.01) -> None:
    """See that the vectors of ``mean_rgb`` are the painted colours."""
    np.testing.assert_allclose(adata.obsm["X_image"], colours() / 255, atol=atol)


def encode(adata: AnnData) -> None:
    """Write mean_rgb, uncached."""
    hs.tl.encode_image(adata, "mean_rgb", cache=False)


def drawn(ax: Axes | Any, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colour (n, channels) of the picture in a plot at positions (n, 2) in its frame."""
    ax = ax if isinstance(ax, Axes) else next(one for one in ax.axes if one.images)
    picture = ax.images[0]
    left, right, bottom, top = picture.get_extent()
    pixels = np.asarray(picture.get_array())
    column = ((xy[:, 0] - left) / (right - left) * pixels.shape[1]).astype(int)
    row = ((xy[:, 1] - top) / (bottom - top) * pixels.shape[0]).astype(int)
    plt.close("all")
    return pixels[row, column].astype(float)


def closed(draw: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Call that draws and closes what it drew."""

    def call(given: Any) -> Any:
        try:
            return draw(given)
        finally:
            plt.close("all")

    return call


def st_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The section as an ST array: counts named by place, and the table of spots."""
    row, column = np.divmod(np.arange(N), 6)
    spots = pd.DataFrame({"x": column, "y": row, "pixel_x": places()[:, 0], "pixel_y": places()[:, 1]})
    index = [f"{x}x{y}" for x, y in zip(column, row, strict=True)]
    return pd.DataFrame(np.random.default_rng(0).poisson(3.0, (N, 5)), index=index, columns=list("abcde")), spots


def visium_folder() -> Path:
    """The section as Space Ranger's folder, without pictures; 25 pixels a column step, 43.3 a row step."""
    import h5py

    outs = folder() / "outs"
    (outs / "spatial").mkdir(parents=True)
    row, column = np.argwhere([[(r + c) % 2 == 0 for c in range(10)] for r in range(6)]).T
    table = pd.DataFrame({"barcode": [f"A{k}-1" for k in range(len(row))], "in_tissue": 1, "array_row": row})
    table = table.assign(
        array_col=column, pxl_row_in_fullres=38 + row * 25 * 3**0.5, pxl_col_in_fullres=40 + column * 25
    )
    table.to_csv(outs / "spatial" / "tissue_positions.csv", index=False)
    factors = {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 32.5}
    (outs / "spatial" / "scalefactors_json.json").write_text(json.dumps(factors))
    counts = sp.csc_matrix(np.random.default_rng(0).poisson(3.0, (4, N)).astype(np.int32))
    with h5py.File(outs / "filtered_feature_bc_matrix.h5", "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr", "shape"):
            group[name] = getattr(counts, name)
        group["barcodes"] = np.array(table["barcode"], dtype="S")
        features = {"id": "ENSG", "name": "gene", "feature_type": "Gene Expression", "genome": "x"}
        for name, start in features.items():
            group[f"features/{name}"] = np.array(
                [start if len(start) > 4 or start == "x" else f"{start}{k}" for k in range(4)], dtype="S"
            )
    return outs


def messages(call: Callable[[], Any]) -> tuple[Any, str]:
    """What a call returns, and what it logs."""
    log, lines = logging.getLogger("histoscribe"), io.StringIO()
    handler, level = logging.StreamHandler(lines), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        return call(), lines.getvalue()
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
