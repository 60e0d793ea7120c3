"""What a SpatialData store lacks: zarr reads missing chunks as zeros, without a word."""

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import FileError, MissingError
from .._keys import Keys
from .._warn import warn

if TYPE_CHECKING:
    from spatialdata import SpatialData

_FIX = "The store was copied in part, or a write was broken off: copy it again, or write it anew from its source."


def check_image_chunks(sdata: "SpatialData", name: str, pixels: Any, xy: NDArray[np.float64]) -> None:
    """Refuse an image whose store lacks chunks where instances lie, and warn where it lacks others.

    Chunks of zeros are not written, so that one without instances may be black by right; under tissue none is.

    Parameters
    ----------
    sdata
        Object that holds the image.
    name
        Of the image.
    pixels
        Its finest resolution (rows, columns, channels), lazy.
    xy
        Positions (n, 2) of the instances in its pixels.
    """
    array = _stored(sdata[name])
    if array is None:
        return
    steps = tuple(array.shards or array.chunks)
    there = _are_there(array, steps)
    if there.all():
        return
    found = f"{int((~there).sum())} of {there.size} chunks missing"
    if tuple(array.shape[1:]) == tuple(pixels.shape[:2]):
        cells = (np.clip(xy[:, ::-1], 0, np.array(pixels.shape[:2]) - 1) // steps[1:]).astype(np.int64)
        whole = np.asarray(there.all(axis=0))
        under = int((~whole[tuple(cells.T)]).sum())
        if under:
            found = f"{found} from its store, {under} of {len(xy)} instances on them"
            raise FileError(f"image {name!r}", found=found, expected="all chunks under the instances", fix=_FIX)
    msg = f"image {name!r}: {found} from its store; they are read as black. If the image is not black there: {_FIX}"
    warn(msg)


def check_table_chunks(sdata: "SpatialData", name: str, table: AnnData) -> None:
    """Refuse a table without counts, and one whose store lacks chunks of them."""
    if table.X is None and table.n_vars and Keys.COUNTS not in table.layers:
        found = f"{table.n_vars} genes and no X"
        raise MissingError(f"table {name!r}", found=found, expected="X or layers['counts']", fix=_FIX)
    folder = Path(str(sdata.path)) / "tables" / name if sdata.path is not None else None
    if folder is None or not folder.is_dir():
        return
    import zarr

    for place, held in (("X", table.X), (f"layers/{Keys.COUNTS}", table.layers.get(Keys.COUNTS))):
        if not (folder / place / "data").is_dir() or not hasattr(held, "data"):
            continue
        for part in ("data", "indices"):  # neither is ever zero all along a chunk
            array = zarr.open_array(str(folder / place / part), mode="r")
            stored = array.nchunks_initialized
            if array.shape == held.data.shape and stored < array.nchunks:
                found = f"{array.nchunks - stored} of {array.nchunks} chunks of {place} missing from its store"
                raise FileError(f"table {name!r}", found=found, expected="all chunks", fix=_FIX)


def _stored(element: Any) -> Any:
    """Zarr array on disk that the finest resolution of an image is read from; None for one in memory."""
    import zarr
    from spatialdata import get_dask_backing_files

    files = get_dask_backing_files(element)
    if len(files) != 1 or not Path(files[0]).is_dir():
        return None
    node = zarr.open(files[0], mode="r")
    arrays = [node] if isinstance(node, zarr.Array) else [array for _, array in node.arrays()]
    return max((array for array in arrays if array.ndim == 3), key=lambda array: array.size, default=None)


def _are_there(array: Any, steps: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether each chunk (or shard) of an array on disk has a file."""
    counts = [-(-length // step) for length, step in zip(array.shape, steps, strict=True)]
    folder = Path(str(array.store_path.store.root)) / array.store_path.path
    there = np.zeros(counts, dtype=bool)
    for at in product(*map(range, counts)):
        there[at] = (folder / array.metadata.encode_chunk_key(at)).is_file()
    return there
