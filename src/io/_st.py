"""Spatial Transcriptomics arrays, the predecessor of Visium: a table of counts, a table of spots, a picture."""

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from anndata.utils import make_index_unique
from numpy.typing import NDArray

from .._checks import check, is_number
from .._counts import raw_counts
from .._errors import CountsError, MissingError, OptionError
from .._keys import Keys, slug
from .._record import write
from .._types import check_types
from ._lattice import is_staggered, lattice_mpp
from ._link import check_scale, entry, given_mpp
from ._text import read_table

log = logging.getLogger("histoscribe")

_SPOT_UM = 100.0
_PITCH_UM, _STAGGERED_PITCH_UM = 200.0, 141.4
_LEAST_SHARED = 0.5
_SPOT_NAME = re.compile(r"\d{1,9}x\d{1,9}")
_MOST_PLACES = 1e9
_SPOT_COLUMNS = ["x", "y", "pixel_x", "pixel_y"]


def read_st(
    counts: str | Path | pd.DataFrame,
    image: str | Path | NDArray[Any] | None,
    *,
    spots: str | Path | pd.DataFrame | None = None,
    mpp: float | None = None,
    pitch_um: float | None = None,
    image_scale: float = 1.0,
    library_id: str | None = None,
    patient: str | None = None,
) -> AnnData:
    """Read a section of a Spatial Transcriptomics array (Ståhl et al. 2016, Science 353:78).

    Writes ``layers["counts"]``, ``obsm["spatial"]``, ``uns["spatial"]`` and ``array_row``, ``array_col``,
    ``library_id`` in ``obs``. ``X`` holds the counts too.

    Parameters
    ----------
    counts
        Raw counts, spots x genes, separated by tabs or commas; spots are named ``<x>x<y>`` by their place on the array.
    image
        H&E image that the pixel positions refer to; None to read genes and positions alone.
    spots
        Table with columns ``x``, ``y``, ``pixel_x``, ``pixel_y`` as the ST spot detector writes it. Where it has a
        column ``selected``, spots not selected are left out. Spots without counts are left out, and the reverse.
        Without a table (and image) positions are those of the array, in micrometres.
    mpp
        Micrometres per pixel of the positions; found from the pitch of the array where it isn't given. It is
        believed where the two contradict each other, with a warning.
    pitch_um
        Distance between neighbouring spots. By default 200 um, as on the first arrays, and 141.4 um where every
        second place of the grid is empty, as on "2K" arrays.
    image_scale
        Pixels of ``image`` per pixel of the positions, for an image smaller than the one they were measured on.
    library_id
        Name of the section; the file name of the counts by default.
    patient
        Whose section it is, kept in the metadata and in ``obs``.

    Raises
    ------
    CountsError
        The table holds no counts, or genes in rows.
    MissingError
        A column of the spot table is missing, or it names fewer than half of the spots: it is of another section.
    ImageError
        More than a tenth of the positions lie outside the image.
    ScaleError
        ``mpp`` is implausible, or can't be found from the spots.

    Examples
    --------
    >>> adata = hs.io.read_st("C2.tsv.gz", "5714_HE_BT_C2.jpg", spots="C2_selection.tsv")
    """
    check_types(read_st, locals())
    check("pitch_um", pitch_um, pitch_um is None or is_number(pitch_um, 1e-3), "a length in um")
    mpp, image_scale = given_mpp(mpp), check_scale(image_scale)
    name = slug(library_id or _name(counts))
    table = _count_table(counts)
    placed = _join(table, _spot_table(spots, table.index, image, pitch_um), files=(_said(counts), _said(spots)))
    table = table.loc[placed.index]
    index, xy = placed[["x", "y"]].to_numpy(np.int64), placed[["pixel_x", "pixel_y"]].to_numpy(np.float64)
    believed = "mpp=" if mpp is not None else "the pitch of the array"
    if spots is not None:
        step, apart_um = _step_um(index, pitch_um)
        mpp = lattice_mpp(index, xy, (step, step), name=name, axes="pixel_x and pixel_y", given=mpp)
        log.info("%s: %.4f um per pixel by %s; neighbouring spots are %g um apart", name, mpp, believed, apart_um)
    mpp = 1.0 if mpp is None else mpp
    described = entry(
        image, xy, mpp=mpp, scale=image_scale, spot_diameter=_SPOT_UM / mpp, patient=patient, believed=believed
    )
    adata = _to_anndata(table)
    outputs = {
        Keys.COUNTS: adata.X.copy(),  # a copy: normalising X in place must not reach the counts
        Keys.SPATIAL: xy,
        Keys.LIBRARIES: {name: described},
        Keys.LIBRARY_ID: pd.Categorical([name] * len(xy)),
        Keys.ARRAY_COL: index[:, 0],
        Keys.ARRAY_ROW: index[:, 1],
    }
    if patient is not None:
        outputs[Keys.PATIENT] = pd.Categorical([patient] * len(xy))
    params = {"counts": _said(counts), "image": _said(image), "spots": _said(spots), "mpp": mpp, "pitch_um": pitch_um}
    write(adata, outputs, by="io.read_st", params=params | {"image_scale": image_scale, "library_id": name})
    return adata


def _name(counts: str | Path | pd.DataFrame) -> str:
    return "section" if isinstance(counts, pd.DataFrame) else Path(counts).name.split(".")[0]


def _said(source: Any) -> str | None:
    return None if source is None else str(source) if isinstance(source, (str, Path)) else type(source).__name__


def _count_table(counts: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Read counts with unique spot and gene names; genes of one name get a suffix, as in scanpy's readers."""
    if isinstance(counts, pd.DataFrame):
        table, genes = counts, counts.columns.astype(str)
    else:
        table, header = read_table(counts, argument="counts", index_col=0)
        genes = pd.Index(header[len(header) - table.shape[1] :])  # pandas renames duplicates in its own way
        if len(genes) != table.shape[1]:
            found = f"{len(genes)} names for {table.shape[1]} columns"
            raise CountsError("counts, first line", found=found, expected="a name each", fix="Check the table.")
    table = table.set_axis(table.index.astype(str), axis=0)
    if not _are_spots(table.index):
        fix = "Name the rows by array position."
        fix = "The genes are in the rows: pass the transposed table." if _are_spots(genes) else fix
        expected = "spots named <x>x<y>, such as '10x13'"
        raise CountsError("counts, row names", found=list(table.index[:3]), expected=expected, fix=fix)
    if not table.index.is_unique:
        twice = list(table.index[table.index.duplicated()][:5])
        raise CountsError("counts, row names", found=f"{twice} twice", expected="each spot once", fix="Remove one.")
    return table.set_axis(make_index_unique(genes), axis=1)


def _are_spots(names: pd.Index) -> bool:
    return len(names) > 0 and all(_SPOT_NAME.fullmatch(str(name)) for name in names)


def _spot_table(
    spots: str | Path | pd.DataFrame | None, names: pd.Index, image: Any, pitch_um: float | None
) -> pd.DataFrame:
    """Array and pixel positions, indexed by spot name, and whether they are selected."""
    if spots is None:
        if image is not None:
            fix = "Pass spots=, the table of the ST spot detector; or image=None."
            raise MissingError("spots", found="nothing", expected="pixel positions of the spots", fix=fix)
        index = names.str.extract(r"(\d+)x(\d+)").astype(np.int64).to_numpy()
        step, _ = _step_um(index, pitch_um)
        placed = pd.DataFrame(np.hstack([index, index * step]), index=names, columns=_SPOT_COLUMNS)
        return placed.assign(selected=True)
    table = spots if isinstance(spots, pd.DataFrame) else read_table(spots, argument="spots")[0]
    if absent := [column for column in _SPOT_COLUMNS if column not in table]:
        fix = "Use the file that the ST spot detector wrote, or rename its columns."
        raise MissingError("spots", found=f"columns {list(table)}", expected=f"{absent} too", fix=fix)
    selected = table["selected"] == 1 if "selected" in table else pd.Series(1, index=table.index) == 1
    numbers = table[_SPOT_COLUMNS].apply(pd.to_numeric, errors="coerce").astype(np.float64)
    table = numbers.assign(selected=selected)
    # Nobody needs the pixels of a spot that is not selected, but its name says whose table this is.
    needed = np.where(selected.to_numpy()[:, None] | [True, True, False, False], numbers, 0.0)
    if missing := int((~np.isfinite(needed)).any(axis=1).sum()):
        fix = "Remove these rows."
        raise OptionError("spots", found=f"{missing} rows with NaN", expected="a position for every spot", fix=fix)
    if ((off := needed[:, :2]) != np.rint(off)).any() or (np.abs(off) > _MOST_PLACES).any():
        found, fix = "fractions or huge numbers in x or y", "x and y are places on the array, pixel_x and pixel_y not."
        raise OptionError("spots", found=found, expected="whole numbers", fix=fix)
    labels = table["x"].astype(np.int64).astype(str) + "x" + table["y"].astype(np.int64).astype(str)
    if labels.duplicated().any():
        twice = list(labels[labels.duplicated()][:5])
        raise OptionError("spots", found=f"{twice} twice", expected="each spot once", fix="Remove one of the rows.")
    return table.set_axis(pd.Index(labels), axis=0)


def _join(table: pd.DataFrame, spots: pd.DataFrame, *, files: tuple[str | None, str | None]) -> pd.DataFrame:
    """Positions of the selected spots that both tables know, in the order of the counts."""
    known = table.index.isin(spots.index)
    if known.sum() < _LEAST_SHARED * min(len(table), len(spots)):
        raise MissingError(
            f"spots ({files[1]})",
            found=f"{known.sum()} of its {len(spots)} spots among the {len(table)} of counts ({files[0]})",
            expected="the same names, such as " + f"{list(table.index[:3])}",
            fix="Pass the files of one section.",
        )
    spots = spots[spots["selected"]]
    shared = table.index[table.index.isin(spots.index)]
    if shared.empty:
        found = f"{len(spots)} spots selected, none of them with counts"
        raise MissingError("spots, selected", found=found, expected="1 at spots under tissue", fix="Check the column.")
    lost = len(table) - len(shared), len(spots) - len(shared)
    if any(lost):
        log.info("%d spots have counts and no (selected) position, %d the reverse; both are left out", *lost)
    return spots.loc[shared]


def _step_um(index: NDArray[np.int64], pitch_um: float | None) -> tuple[float, float]:
    """Length of a step of the grid, and the distance between neighbouring spots, um."""
    staggered = is_staggered(index)
    default = _STAGGERED_PITCH_UM if staggered else _PITCH_UM
    pitch = default if pitch_um is None else pitch_um
    return (pitch / 2**0.5 if staggered else pitch), pitch


def _to_anndata(table: pd.DataFrame) -> AnnData:
    try:
        values = table.to_numpy()
        counts = sp.csr_matrix(values if values.dtype.kind in "iufb" else values.astype(np.float64))
    except (TypeError, ValueError) as error:
        raise CountsError("counts", found=str(error), expected="numbers", fix="Check the table.") from error
    adata = AnnData(counts, obs=pd.DataFrame(index=table.index), var=pd.DataFrame(index=table.columns))
    if np.array_equal(raw_counts(adata).data, np.round(counts.data)):
        adata.X = counts.astype(np.int32 if counts.max() <= np.iinfo(np.int32).max else np.int64)
    adata.obs_names.name = adata.var_names.name = None
    return adata
