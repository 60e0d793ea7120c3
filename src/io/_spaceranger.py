"""The parts of a Space Ranger folder, of any version."""

import json
import warnings
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray
from PIL import Image

from .._errors import FileError, OptionError
from .._keys import LibraryKeys
from ._link import SCALES
from ._text import existing, read_text

ARRAY = ["array_col", "array_row"]
PIXELS = ["pxl_col_in_fullres", "pxl_row_in_fullres"]
_COLUMNS = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]
_MATRIX = "filtered_feature_bc_matrix"
_PICTURES = {"hires": "tissue_hires_image.png", "lowres": "tissue_lowres_image.png"}


def find_outs(path: str | Path) -> Path:
    """Folder that holds ``spatial/``: the path, or ``outs`` in it."""
    path = Path(path).expanduser()
    for folder in (path, path / "outs"):
        if (folder / "spatial").is_dir():
            return folder.resolve()
    found = sorted(child.name for child in path.iterdir())[:8] if path.is_dir() else "no such folder"
    fix = "Pass Space Ranger's outs folder."
    raise FileError(str(path), found=found, expected="a folder with spatial/ in it", fix=fix)


def read_matrix(folder: Path) -> AnnData:
    """Read the counts; genes are named by symbols, made unique, with ``gene_ids`` in ``var``."""
    files = sorted(folder.glob(f"*{_MATRIX}.h5"))
    if len(files) > 1:
        fix = "Leave one of them in the folder."
        raise FileError(str(folder), found=[file.name for file in files], expected="one matrix", fix=fix)
    source = files[0] if files else folder / _MATRIX
    if not source.exists():
        expected = f"{_MATRIX}.h5 or a folder {_MATRIX}"
        fix = "Pass the folder as Space Ranger wrote it."
        raise FileError(str(folder), found=sorted(c.name for c in folder.iterdir()), expected=expected, fix=fix)
    import scanpy as sc  # slow to load

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Variable names are not unique")  # made so below
            adata = sc.read_10x_h5(source) if files else sc.read_10x_mtx(source)
    except (OSError, EOFError, KeyError, ValueError) as error:
        fix = "The file is broken: fetch it again."
        raise FileError(str(source), found=str(error), expected="a 10x matrix", fix=fix) from error
    adata.var_names_make_unique()
    adata.X = sp.csr_matrix(adata.X)
    return adata


def read_positions(spatial: Path) -> pd.DataFrame:
    """Place of every spot of the array, indexed by barcode; with a header from Space Ranger 2 on."""
    names = ("tissue_positions.csv", "tissue_positions_list.csv")
    path = next((spatial / name for name in names if (spatial / name).is_file()), spatial / names[0])
    text = read_text(path, argument="tissue positions")
    header = 0 if text.startswith("barcode") else None
    try:
        table = pd.read_csv(StringIO(text), header=header)
        table = (table if header == 0 else table.set_axis(_COLUMNS, axis=1))[_COLUMNS]
        table = table.set_index("barcode").apply(pd.to_numeric)
    except (ValueError, KeyError) as error:
        raise FileError(str(path), found=str(error), expected=f"columns {_COLUMNS}", fix="Check the file.") from error
    if missing := int(table.isna().any(axis=1).sum()):
        raise FileError(str(path), found=f"{missing} rows with gaps", expected="none", fix="The file is broken.")
    if not table.index.is_unique:
        raise FileError(str(path), found="a barcode twice", expected="each once", fix="The file is broken.")
    return table


def read_scalefactors(spatial: Path) -> dict[str, float]:
    """Numbers of ``scalefactors_json.json``."""
    path = existing(spatial / "scalefactors_json.json", argument="scale factors")
    try:
        factors = {str(key): float(value) for key, value in json.loads(path.read_text()).items()}
        factors[LibraryKeys.SPOT_DIAMETER]
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        expected = f"numbers, {LibraryKeys.SPOT_DIAMETER} among them"
        raise FileError(str(path), found=repr(error), expected=expected, fix="Fetch the file again.") from error
    return factors


def choose_image(spatial: Path, image: str | Path | None, factors: Mapping[str, float]) -> tuple[Path | None, float]:
    """Image file to link and its pixels per full-resolution pixel; None where the folder has none."""
    if image is not None and str(image) not in _PICTURES:
        return existing(image, argument="image"), 1.0
    for name in _PICTURES if image is None else (str(image),):
        if (spatial / _PICTURES[name]).is_file():
            return spatial / _PICTURES[name], _factor(spatial, name, factors)
    if image is not None:
        fix = "Pass the path of an image, or leave image= out."
        raise FileError(
            str(spatial), found=f"no {_PICTURES[str(image)]}", expected=f"the picture image={image!r} names", fix=fix
        )
    return None, 1.0


def read_pictures(spatial: Path, factors: Mapping[str, float]) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    """Small pictures of the folder and their scales, as scanpy's dict names them."""
    there = [name for name in _PICTURES if (spatial / _PICTURES[name]).is_file()]
    pictures = {name: np.asarray(Image.open(spatial / _PICTURES[name]).convert("RGB")) for name in there}
    return pictures, {SCALES[name]: _factor(spatial, name, factors) for name in there}


def _factor(spatial: Path, name: str, factors: Mapping[str, float]) -> float:
    if SCALES[name] not in factors:
        field = f"{spatial / 'scalefactors_json.json'}"
        raise OptionError(field, found=f"no {SCALES[name]}", expected="the scale of the picture", fix="Add it.")
    return factors[SCALES[name]]
