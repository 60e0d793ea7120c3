"""Mouse olfactory bulb on Spatial Transcriptomics 2K arrays."""

from pathlib import Path

import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique

from .._errors import OptionError
from .._keys import Keys
from ..io import read_st
from ._remote import PACKAGED, paths_of

_FOLDER = "stutility_mob"


def mouse_olfactory_bulb(section: int = 1) -> AnnData:
    """Mouse olfactory bulb: four sections with H&E images (Bergenstråhle et al. 2020, BMC Genomics 21:482).

    The first lies in the package, and needs no network. Data of STUtility, under the MIT licence; tissue and protocol of
    Ståhl et al. 2016, Science 353:78.

    Some 400 spots under tissue and 1000 genes a section; genes are named by symbols, made unique, with Ensembl ids
    in ``var["gene_ids"]``.

    The source states no micrometres per pixel. They are derived from the array, which is of the "2K" kind: the
    classic grid of 200 um with a second one in the middle of its squares, so that nearest spots are 141.4 um apart.
    That gives 4.38 um per pixel and an array of 6.2 x 6.5 mm, which is the size of these arrays (6.2 x 6.6 mm).
    The images are of low resolution: a spot of 100 um is 23 pixels wide.

    They are also stretched: the array says 4.62 um per pixel from left to right and 4.16 from top to bottom. The mean
    is used, so that distances are good to about 5 %.

    Parameters
    ----------
    section
        1 to 4.

    Raises
    ------
    OfflineError
        The files are neither on disk nor can they be downloaded.

    Examples
    --------
    >>> adata = hs.datasets.mouse_olfactory_bulb()
    >>> hs.pp.tile(adata)
    """
    if section not in (1, 2, 3, 4):
        raise OptionError("section", found=repr(section), expected="1, 2, 3 or 4", fix="Choose one of these.")
    names = (f"MOB{section}.tsv", f"MOB{section}.jpg", f"alignment_table_MOB{section}.tsv")
    table, image, spots = paths_of(*(f"{_FOLDER}/{name}" for name in names))
    counts = pd.read_csv(table, sep="\t", index_col=0)
    ids = counts.columns
    adata = read_st(
        counts.set_axis(_symbols(ids, PACKAGED / _FOLDER / "genes.tsv"), axis=1),
        image,
        spots=spots,
        library_id=f"MOB{section}",
    )
    adata.var[Keys.GENE_IDS] = ids.to_numpy()
    return adata


def _symbols(ids: pd.Index, genes: Path) -> pd.Index:
    """Symbols of Ensembl ids, made unique; the id itself if there is none."""
    symbols = pd.read_csv(genes, sep="\t", index_col="gene_id")["gene_name"].reindex(ids)
    return make_index_unique(pd.Index(symbols.where(symbols.notna(), ids).astype(str)))
