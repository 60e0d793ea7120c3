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

from .._checks import is_number
from .._errors import FileError, OptionError
from .._keys import LibraryKeys
from ._link import SCALES, as_uint8_rgb
from ._paths import existing
from ._text import read_text, refused_tables
from .image import open_image

ARRAY = ["array_col", "array_row"]
PIXELS = ["pxl_col_in_fullres", "pxl_row_in_fullres"]
_COLUMNS = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]
_MOST = 1e9  # of rows and columns of an array
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
    return parse_positions(read_text(path, argument="tissue positions"), str(path))


def parse_positions(text: str, source: str) -> pd.DataFrame:
    """Positions of the text of a file; ``source`` is for messages."""
    header = 0 if text.startswith("barcode") else None
    with refused_tables(source, f"columns {_COLUMNS}"):
        table = pd.read_csv(StringIO(text), header=header, index_col=False, dtype=str, skipinitialspace=True)
        table = (table if header == 0 else table.set_axis(_COLUMNS, axis=1))[_COLUMNS]
        barcodes = table.pop("barcode")
        numbers = table.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    fix = "The file is broken: fetch it again."
    if missing := int((barcodes.isna() | ~np.isfinite(numbers).all(axis=1)).sum()):
        raise FileError(source, found=f"{missing} rows with gaps", expected="a name and five numbers each", fix=fix)
    whole = ["in_tissue", "array_row", "array_col"]
    if not ((numbers[whole] == numbers[whole].round()) & (numbers[whole].abs() < _MOST)).all(axis=None):
        raise FileError(source, found=f"fractions in {whole}", expected="whole numbers", fix=fix)
    if not barcodes.is_unique:
        raise FileError(source, found="a barcode twice", expected="each once", fix=fix)
    if not numbers["in_tissue"].isin([0, 1]).all():
        raise FileError(source, found="other numbers in in_tissue", expected="0 or 1", fix=fix)
    return numbers.astype(dict.fromkeys(whole, np.int64)).set_axis(pd.Index(barcodes, name="barcode"), axis=0)


def read_scalefactors(spatial: Path) -> dict[str, float]:
    """Numbers of ``scalefactors_json.json``."""
    path = existing(spatial / "scalefactors_json.json", argument="scale factors")
    return parse_scalefactors(read_text(path), str(path))


def parse_scalefactors(text: str, source: str) -> dict[str, float]:
    """Scale factors of the text of a file; ``source`` is for messages."""
    expected = f"an object of positive numbers, {LibraryKeys.SPOT_DIAMETER} among them"
    fix = "Fetch the file again."
    try:
        held = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(source, found=f"no JSON ({error})"[:300], expected=expected, fix=fix) from error
    if not isinstance(held, dict):
        raise FileError(source, found=f"a JSON {type(held).__name__}", expected=expected, fix=fix)
    if bad := [key for key, value in held.items() if not is_number(value, 1e-12)]:
        raise FileError(source, found=f"{bad[0]} = {held[bad[0]]!r}"[:100], expected=expected, fix=fix)
    if LibraryKeys.SPOT_DIAMETER not in held:
        raise FileError(source, found=f"only {sorted(held)}", expected=expected, fix=fix)
    return {key: float(value) for key, value in held.items()}


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
    return {name: _picture(spatial / _PICTURES[name]) for name in there}, {
        SCALES[name]: _factor(spatial, name, factors) for name in there
    }


def _picture(path: Path) -> NDArray[np.uint8]:
    with open_image(path) as image:
        return as_uint8_rgb(image.read(0, 0, image.width, image.height))


def _factor(spatial: Path, name: str, factors: Mapping[str, float]) -> float:
    if SCALES[name] not in factors:
        field = f"{spatial / 'scalefactors_json.json'}"
        raise OptionError(field, found=f"no {SCALES[name]}", expected="the scale of the picture", fix="Add it.")
    return factors[SCALES[name]]
