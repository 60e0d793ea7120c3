"""A section in a file, read by blocks of its rows, so that it may be larger than memory."""

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import FileError
from .._files import recover
from .._keys import Keys, LibraryKeys
from . import _trailer
from ._read import check_whole, faults_named, opened, read

log = logging.getLogger("histoscribe")


class LazySection:
    """What an ``.h5ad`` or ``.zarr`` holds of one or more sections; counts are read when they are asked for.

    Parameters
    ----------
    path
        Where the file is, for messages.
    root
        The open file.
    columns
        Columns of ``obs`` that are read, where they are there.
    """

    def __init__(self, path: Path, root: Any, columns: Sequence[str]) -> None:
        self._path, self._root = path, root
        self.layers = list(root["layers"]) if "layers" in root else []
        self.frame = _frame(root, columns)

    def is_by_rows(self, layer: str | None) -> bool:
        """Whether there are counts that can be read row by row."""
        place = layer or (str(Keys.COUNTS) if Keys.COUNTS in self.layers else None)
        there = "X" in self._root if place is None else place in self.layers
        return there and self.row_starts(place) is not None

    def row_starts(self, layer: str | None) -> NDArray[np.int64] | None:
        """Where the values of each row start (n + 1,); None where that can't be read row by row."""
        node = self._counts(layer)
        if hasattr(node, "shape"):
            return np.arange(node.shape[0] + 1) * node.shape[1] if len(node.shape) == 2 else None
        if node.attrs.get("encoding-type") != "csr_matrix":
            return None
        return np.asarray(node["indptr"][:], dtype=np.int64)

    def rows(self, layer: str | None, start: int, stop: int) -> AnnData:
        """Read some rows, as an AnnData that holds counts and names alone."""
        import anndata

        node = self._counts(layer)
        with faults_named(self._path):
            counts = (node if hasattr(node, "shape") else anndata.io.sparse_dataset(node))[start:stop]
        counts = counts if isinstance(counts, np.ndarray) else sp.csr_matrix(counts)
        obs = pd.DataFrame(index=self.frame.obs_names[start:stop])
        x, layers = (counts, {}) if layer is None else (None, {layer: counts})
        return AnnData(x, obs=obs, var=self.frame.var, layers=layers)

    def _counts(self, layer: str | None) -> Any:
        return self._root["X"] if layer is None else self._root["layers"][layer]


def _frame(root: Any, columns: Sequence[str]) -> AnnData:
    """All but the counts, as far as gene tokens need it: a picture may be larger than a corpus."""
    import anndata

    obs, obsm, spatial = root["obs"], root.get("obsm", {}), Keys.SPATIAL
    names = obs[obs.attrs["_index"]]
    n = (names if hasattr(names, "shape") else names["values"]).shape[0]  # pandas 3's text is values and a mask
    index = pd.Index(np.arange(n).astype(str), dtype=object)
    there = {name: pd.Series(anndata.io.read_elem(obs[name])).set_axis(index) for name in columns if name in obs}
    frame = AnnData(obs=pd.DataFrame(there, index=index), var=anndata.io.read_elem(root["var"]))
    if spatial in obsm:
        frame.obsm[spatial] = anndata.io.read_elem(obsm[spatial])
    uns = root.get("uns", {})
    if Keys.LIBRARIES in uns:
        libraries = uns[Keys.LIBRARIES]
        frame.uns[str(Keys.LIBRARIES)] = {name: _said(libraries[name]) for name in libraries}
    if Keys.RECORD in uns:
        frame.uns[str(Keys.RECORD)] = anndata.io.read_elem(uns[Keys.RECORD])
    return frame


def _said(library: Any) -> dict[str, Any]:
    import anndata

    known = (LibraryKeys.METADATA, LibraryKeys.SCALEFACTORS)
    return {name: anndata.io.read_elem(library[name]) for name in known if name in library}


def found(path: str | Path) -> Path:
    """Real path of a file that is there.

    Raises
    ------
    FileError
        There is nothing.
    """
    path = Path(os.path.realpath(Path(path).expanduser()))
    recover(path)
    if not path.exists():
        raise FileError(f"path ({path})", found="nothing", expected="a .h5ad or .zarr", fix="Check the path.")
    return path


def identity(path: Path) -> str:
    """Name the content of a file, without reading all of it: the hash that was written with it, or size and time."""
    if path.is_file() and (stated := _trailer.stated(path)):
        return stated
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(str(one.relative_to(path)), one.stat()) for one in files]
    said = str([str(path), *((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)])
    return hashlib.sha256(said.encode()).hexdigest()


@contextmanager
def open_lazily(path: Path, layer: str | None, columns: Sequence[str]) -> Iterator[LazySection | AnnData]:
    """Open a file whose counts can be read row by row, or read it whole where they can't.

    Raises
    ------
    FileError
        It is no AnnData, or broken.
    """
    check_whole(path)
    with opened(path) as root:
        with faults_named(path):
            section = LazySection(path, root, columns) if "_index" in root["obs"].attrs else None
            by_rows = section is not None and section.is_by_rows(layer)
        if by_rows:
            yield section
            return
    log.warning("%s does not hold its counts row by row (csr or dense): it is read whole", path)
    yield read(path)
