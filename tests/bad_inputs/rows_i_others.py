"""Images of other sections, of other sizes, and mirrored ones."""

from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

import histoscribe as hs
from histoscribe._errors import ImageError

from ..toys import cached_toy
from . import sections
from .pictures import (
    linked,
    painted,
    saved,
)  # fmt: skip
from .row import Defined, Raises, Row


def _image_of(adata: AnnData) -> NDArray:
    pixels: NDArray = next(iter(adata.uns["spatial"].values()))["images"]["hires"]
    return pixels


def _off_tissue() -> AnnData:
    """Counts of one section on an image whose tissue lies elsewhere: the corner, beside glass."""
    adata = sections.many_spots()
    image = _image_of(adata)
    glass = np.full((image.shape[0], 3 * image.shape[1], 3), 240, dtype=np.uint8)
    glass[:, 2 * image.shape[1] :] = image
    next(iter(adata.uns["spatial"].values()))["images"]["hires"] = glass
    return adata


def _does_not_fit(given: AnnData, returned: Any) -> None:
    checks = returned.set_index("check")
    assert not checks.loc["tissue", "ok"]
    assert checks.loc["verdict", "found"].startswith("image and spots do not fit")
    assert not given.obs["on_tissue"].any()


def _other_section() -> AnnData:
    adata = sections.many_spots()
    image, other = _image_of(adata), _image_of(cached_toy(n_spots=100, n_genes=200, random_state=5))
    rows, columns = np.minimum(image.shape, other.shape)[:2]
    image[:rows, :columns] = other[:rows, :columns]
    return adata


def _is_not_believed(given: AnnData, returned: Any) -> None:
    assert returned.iloc[-1]["found"] != "image and spots fit"


def _other_size() -> dict[str, Any]:
    adata = linked(painted())
    return {"adata": adata, "path": saved(painted(size=(700, 280)))}


def _check(adata: AnnData) -> Any:
    return hs.pp.check_registration(adata)


def _mirrored() -> AnnData:
    adata = _large()
    entry = next(iter(adata.uns["spatial"].values()))
    entry["images"]["hires"] = np.ascontiguousarray(entry["images"]["hires"][:, ::-1])
    return adata


def _large() -> AnnData:
    adata: AnnData = cached_toy(n_spots=250, n_genes=200)
    return adata


def _mended(given: AnnData, returned: Any) -> None:
    """The matrix that the check keeps takes spots to where the mirrored image shows them, within half a pitch."""
    assert returned.set_index("check").loc["orientation", "found"] != "as linked"
    assert returned.iloc[-1]["found"].startswith("image and spots do not fit: orientation")
    width = _image_of(given).shape[1]
    before = np.asarray(_large().obsm["spatial"])
    hs.pp.align_affine(given, next(iter(given.uns["registration"].values()))["matrix"])
    expected = np.column_stack([width - before[:, 0], before[:, 1]])
    far = np.hypot(*(given.obsm["spatial"] - expected).T)
    assert np.median(far) < 25  # pixels; spots are 50 apart


OTHERS = [
    Row("I21", "spots on an image whose tissue lies elsewhere", _off_tissue, {"pp.check_registration": _check},
        Defined("image and spots do not fit", _does_not_fit)),
    Row("I21", "counts of one section on the image of another", _other_section, {"pp.check_registration": _check},
        Defined("not believed to fit", _is_not_believed)),
    Row("I21", "an image of another size than the small pictures say", _other_size,
        {"io.link_image": lambda given: hs.io.link_image(given["adata"], given["path"])},
        Raises(ImageError, field="image", fix="image_scale=", found="700 x 280")),
    Row("I22", "a mirrored image", _mirrored, {"pp.check_registration": _check},
        Defined("reported; nothing is moved, and the kept matrix mends it", _mended)),
]  # fmt: skip

ROWS = OTHERS
