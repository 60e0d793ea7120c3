"""10x Visium: the folder that Space Ranger writes."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from .._errors import MissingError
from .._keys import Keys, LibraryKeys, slug
from .._record import write
from .._types import check_types
from ._lattice import APART, VISIUM_STEP_UM, lattice_mpp
from ._link import check_size, entry
from ._spaceranger import (
    ARRAY,
    PIXELS,
    choose_image,
    find_outs,
    read_matrix,
    read_pictures,
    read_positions,
    read_scalefactors,
)
from .image import open_image

log = logging.getLogger("histoscribe")

_NOMINAL_SPOT_UM = 65.0  # that is what spot_diameter_fullres stands for, by 10x's manual; the spots measure 55 um


def read_visium(path: str | Path, *, image: str | Path | None = None, library_id: str | None = None) -> AnnData:
    """Read a Visium section from Space Ranger's ``outs`` folder, of any version.

    Writes ``layers["counts"]``, ``obsm["spatial"]``, ``uns["spatial"]`` and ``in_tissue``, ``array_row``,
    ``array_col``, ``library_id`` in ``obs``. ``X`` holds the counts too; genes are named by symbols, made unique, with
    Ensembl ids in ``var["gene_ids"]``. Micrometres per pixel come from the spots, which are 100 um apart.

    Parameters
    ----------
    path
        The folder with ``filtered_feature_bc_matrix.h5`` (or the folder of that name) and ``spatial/``.
    image
        Full-resolution image that Space Ranger was given. Folders are often passed on without it: ``"hires"`` and
        ``"lowres"`` link the small pictures in ``spatial/``; by default ``hires`` is taken, else ``lowres``.
    library_id
        Name of the section; the name of the folder by default.

    Raises
    ------
    FileError
        A file of the folder is missing or broken.
    MissingError
        Barcodes of the matrix have no position.
    ImageError
        The positions lie outside the image: it is not the one that Space Ranger was given.

    Examples
    --------
    >>> adata = hs.io.read_visium("outs", image="he_fullres.tif")
    """
    check_types(read_visium, locals())
    folder = find_outs(path)
    spatial = folder / "spatial"
    name = slug(library_id or (folder.parent if folder.name == "outs" else folder).name)
    factors, spots, adata = read_scalefactors(spatial), read_positions(spatial), read_matrix(folder)
    # The whole array, not only the spots in tissue: the more spots, the better the fit.
    mpp = lattice_mpp(spots[ARRAY], spots[PIXELS], VISIUM_STEP_UM, name=name, axes=" and ".join(PIXELS))
    _compare(name, mpp, factors[LibraryKeys.SPOT_DIAMETER])
    spots = _of_barcodes(spots, adata.obs_names)
    xy = spots[PIXELS].to_numpy(np.float64)
    source, scale = choose_image(spatial, image, factors)
    pictures, scales = read_pictures(spatial, factors)
    described = entry(source, xy, mpp=mpp, scale=scale, spot_diameter=factors[LibraryKeys.SPOT_DIAMETER])
    if source is not None:
        with open_image(source) as opened:
            check_size(f"image {source}", (opened.width / scale, opened.height / scale), pictures, scales)
    _say(name, mpp, source, scale)
    described[LibraryKeys.IMAGES] |= pictures
    described[LibraryKeys.SCALEFACTORS] = factors | described[LibraryKeys.SCALEFACTORS] | scales
    outputs = {
        Keys.COUNTS: adata.X.copy(),  # a copy: normalising X in place must not reach the counts
        Keys.SPATIAL: xy,
        Keys.LIBRARIES: {name: described},
        Keys.LIBRARY_ID: pd.Categorical([name] * len(xy)),
        Keys.IN_TISSUE: spots["in_tissue"].to_numpy(),
        Keys.ARRAY_ROW: spots["array_row"].to_numpy(),
        Keys.ARRAY_COL: spots["array_col"].to_numpy(),
    }
    write(adata, outputs, by="io.read_visium", params={"path": folder, "image": source, "library_id": name})
    return adata


def _of_barcodes(spots: pd.DataFrame, barcodes: pd.Index) -> pd.DataFrame:
    if missing := int((~barcodes.isin(spots.index)).sum()):
        found = f"{missing} of {len(barcodes)} barcodes without a position"
        fix = "Matrix and spatial/ must come from one section."
        raise MissingError("tissue positions", found=found, expected="a position each", fix=fix)
    return spots.loc[barcodes]


def _compare(name: str, mpp: float, spot_diameter: float) -> None:
    nominal = _NOMINAL_SPOT_UM / spot_diameter
    if abs(mpp / nominal - 1) > APART:
        log.warning(
            "%s: %.4f um per pixel by the pitch of the spots (100 um), %.4f by spot_diameter_fullres (65 um); "
            "the pitch is believed", name, mpp, nominal,
        )  # fmt: skip


def _say(name: str, mpp: float, source: Path | None, scale: float) -> None:
    if source is None:
        log.warning("%s: spatial/ holds no tissue_hires_image.png and no tissue_lowres_image.png; pass image=", name)
    else:
        log.info(
            "%s: %.4f um per pixel of the positions; %s is linked, %.4f um per pixel", name, mpp, source, mpp / scale
        )
