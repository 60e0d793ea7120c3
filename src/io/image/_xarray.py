"""SpatialData images: xarray over dask or zarr, read chunk by chunk."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._errors import ImageError
from ._array import digest
from ._pixels import over_white
from ._source import Level, Source


class ChunkedLevel(Level):
    """A lazy xarray image (c, y, x); its cells are the chunks."""

    def __init__(self, image: Any, scale: tuple[float, float], *, slack: float, alpha: bool) -> None:
        chunks = image.chunksizes
        x_edges, y_edges = (np.cumsum([0, *chunks.get(axis, (image.sizes[axis],))]) for axis in "xy")
        super().__init__(scale, x_edges, y_edges, slack)
        self._image, self._alpha = image, alpha

    def decode(self, cells: NDArray[np.intp]) -> Iterator[tuple[int, NDArray]]:
        """Yield each of ``cells`` with its pixels, computed once, row by row."""
        for cell in cells.tolist():
            left, top, right, bottom = self.corners(cell)
            chunk = self._image.isel(y=slice(top, bottom), x=slice(left, right))
            pixels = np.moveaxis(np.asarray(chunk.data), 0, -1)
            yield cell, over_white(pixels) if self._alpha else pixels

    def rows(self) -> Iterator[NDArray]:
        """Yield the image as stored, a row of chunks at a time."""
        for top, bottom in zip(self.y_edges[:-1], self.y_edges[1:], strict=True):
            yield np.moveaxis(np.asarray(self._image.isel(y=slice(top, bottom)).data), 0, -1)


def is_xarray(image: Any) -> bool:
    """Whether this is an image of a SpatialData; xarray is not loaded to find out."""
    return type(image).__module__.partition(".")[0] == "xarray"


def open_xarray(image: Any) -> Source:
    """Open a SpatialData image: a DataArray with dims c, y, x, or a DataTree of its scales."""
    scales = [node.to_dataset() for node in image.children.values()] if hasattr(image, "children") else [image]
    arrays = [next(iter(scale.data_vars.values())) if hasattr(scale, "data_vars") else scale for scale in scales]
    first = arrays[0] if arrays else image
    if set(getattr(first, "dims", ())) != {"c", "y", "x"} or not first.size or first.dtype.kind not in "uifb":
        found = f"{type(image).__name__} with dims {getattr(first, 'dims', ())}"
        raise ImageError("array", found=found, expected="dims c, y and x", fix="Pass sdata.images[name].")
    arrays = [array.transpose("c", "y", "x") for array in arrays]
    alpha = list(first.coords["c"].values) == ["r", "g", "b", "a"] if "c" in first.coords else False
    placed = [(array, _level_scale(first, array)) for array in arrays]
    levels = [
        ChunkedLevel(array, scale, slack=_slack(first, array), alpha=alpha)
        for array, scale in placed
        if scale is not None
    ]
    n_channels = first.sizes["c"] - alpha
    dtype = first.dtype.newbyteorder("=")
    return Source("array", levels, n_channels, dtype, sha256=lambda: digest(levels[0].rows()))


def _slack(first: Any, level: Any) -> float:
    """Pixels that were cut off before sizes were divided: at which end, the stored scale does not say."""

    def cut(axis: str) -> int:
        whole, part = int(first.sizes[axis]), int(level.sizes[axis])
        factor = round(whole / part)
        return whole - part * factor if abs(whole / factor - part) < 1 else 0

    return float(max(abs(cut("x")), abs(cut("y"))))


def _level_scale(first: Any, level: Any) -> tuple[float, float] | None:
    """Pixels of a level per pixel of the first, by the stored transforms; None where they are more than a scale."""
    if level is first:
        return 1.0, 1.0
    stored = [array.attrs.get("transform", {}) for array in (first, level)]
    shared = sorted(set(stored[0]) & set(stored[1]))
    if not shared:
        return level.sizes["x"] / first.sizes["x"], level.sizes["y"] / first.sizes["y"]
    to_shared = [transform[shared[0]].to_affine_matrix(("x", "y"), ("x", "y")) for transform in stored]
    to_first = np.linalg.solve(*to_shared)
    x, y = float(to_first[0, 0]), float(to_first[1, 1])
    if not np.allclose(to_first, np.diag([x, y, 1]), atol=1e-6) or x <= 0 or y <= 0:
        return None
    return 1 / x, 1 / y
