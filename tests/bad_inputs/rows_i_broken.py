"""Image files that are broken off or damaged, and linked files that are others now."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from anndata import AnnData
from numpy.typing import NDArray
from PIL import Image

import histoscribe as hs
from histoscribe._errors import ImageError

from .pictures import (
    HEIGHT,
    WIDTH,
    N,
    closed,
    encode,
    linked,
    messages,
    painted,
    saved,
)  # fmt: skip
from .row import Defined, Raises, Row
from .rows_i_files import PATHS

FILES: dict[str, dict[str, Any]] = {
    "image.png": {},
    "image.jpg": {"quality": 95},
    "strips.tif": {"rowsperstrip": 16},
    "zlib.tif": {"tile": (64, 64), "compression": "zlib"},
    "jpeg.tif": {"tile": (64, 64), "compression": "jpeg"},
    "jpeg2000.tif": {"tile": (64, 64), "compression": "jpeg2000"},
}


def _noisy() -> NDArray:
    """Discs on noise: nothing of it packs to nothing, so that each share of the file is a share of the pixels."""
    return np.minimum(painted(), np.random.default_rng(0).integers(200, 256, (HEIGHT, WIDTH, 3))).astype(np.uint8)


def _cut(name: str, share: float = 0.6) -> Path:
    path = saved(_noisy(), name, **FILES[name])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def _cut_after_linking(name: str) -> AnnData:
    path = saved(_noisy(), name, **FILES[name])
    adata = linked(path)
    adata.uns["spatial"]["s"]["metadata"].pop("image_sha256")  # else it is another file already
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    return adata


def _late_tile(name: str) -> AnnData:
    """The last tile is damaged inside: its size is right, so that nothing is known before it is decoded."""
    path = saved(_noisy(), name, **FILES[name])
    adata = linked(path)
    adata.uns["spatial"]["s"]["metadata"].pop("image_sha256")
    with tifffile.TiffFile(path) as tiff:
        start, count = tiff.pages[0].dataoffsets[-1], tiff.pages[0].databytecounts[-1]
    content = bytearray(path.read_bytes())
    content[start + count // 3 : start + count] = bytes(count - count // 3)
    path.write_bytes(content)
    adata.obsm["tiles"][-1, :2] = [320, 270]  # on it
    return adata


_READ: dict[str, Callable[[Any], Any]] = {
    "tl.encode_image": encode,
    "pp.tissue_mask": lambda adata: hs.pp.tissue_mask(adata),
    "pp.fit_stain": lambda adata: hs.pp.fit_stain(adata),
    "pl.tiles": closed(lambda adata: hs.pl.tiles(adata, n=N)),
}


def _on_white(given: AnnData, returned: tuple[Any, str]) -> None:
    axes, lines = returned
    assert not axes.images
    assert "drawn on white, as its image can't be read" in lines


def _says_no_image(given: AnnData, returned: Any) -> None:
    assert returned.iloc[-1]["found"].startswith("cannot tell: no image")


BROKEN = [
    *(
        Row("I9", f"a {name.replace('.', ' ').upper()} that is broken off", partial(_cut, name), PATHS,
            Raises(ImageError, field=name, fix="again", found="ends before|can't be decoded"))
        for name in FILES
    ),
    *(
        Row("I9", f"a linked {name.replace('.', ' ').upper()} that is broken off", partial(_cut_after_linking, name), _READ,
            Raises(ImageError, field=name, fix="again", found="ends before .* columns .* rows|can't be decoded"))
        for name in FILES
    ),
    *(
        Row("I9", f"the last tile of a {name.replace('.', ' ').upper()} is damaged", partial(_late_tile, name),
            {key: call for key, call in _READ.items() if key != "pp.fit_stain"},
            Raises(ImageError, field=name, fix="again", found="columns 320 to 330, rows 256 to 280"))
        for name in ("zlib.tif", "jpeg.tif", "jpeg2000.tif")
    ),
    Row("I9", "a linked PNG that is broken off", lambda: _cut_after_linking("image.png"),
        {"pl.spatial": closed(lambda adata: messages(lambda: hs.pl.spatial(adata)))},
        Defined("drawn on white, with a warning in the log", _on_white)),
    Row("I9", "a linked PNG that is broken off", lambda: _cut_after_linking("image.png"),
        {"pp.check_registration": lambda adata: hs.pp.check_registration(adata)},
        Defined("cannot tell: no image", _says_no_image)),
    Row("I9", "a section whose linked file is another one now", lambda: _replaced(), {"tl.encode_image": encode},
        Raises(ImageError, field="image of section 's'", fix=r"link_image\(adata, path\)", found="another file")),
]  # fmt: skip


def _replaced() -> AnnData:
    path = saved(painted())
    adata = linked(path)
    Image.fromarray(painted()[:, ::-1]).save(path)
    return adata


ROWS = BROKEN
