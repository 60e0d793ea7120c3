"""HER2-positive breast cancer on Spatial Transcriptomics arrays."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from .._errors import OptionError
from .._files import atomic
from .._keys import Keys
from .._record import write
from .._settings import settings
from ..io import read_st
from ._remote import paths_of, registry

log = logging.getLogger("histoscribe")

_SECTIONS = [
    *(f"{patient}{n}" for patient in "ABCD" for n in range(1, 7)),
    *(f"{p}{n}" for p in "EF" for n in (1, 2, 3)),
]
_LABELLED = ("A1", "B1", "C1", "D1", "E1", "F1")
_SMALL_PICTURE = "her2st/ST-imgs-lowres/A1_HE_image_dark.png"
_SMALL_SCALE = 2000 / 6900  # its pixels per pixel of the spot file: fitted to the tissue, good to 1 %
_ANNOTATED_CORNER = np.s_[:540, 1490:]  # a thumbnail with the pathologist's lines
_BLACK = 10


def her2st(section: str = "C2") -> AnnData:
    """HER2-positive breast cancer: 30 sections of six patients (Andersson et al. 2021, Nat Commun 12:6012).

    Spots of 100 um, 200 um apart, with some 15,000 genes. Full-size H&E images exist for B4 and C2 to C6; A1 has a
    small one (about 3.2 um per pixel), whose black background and annotated corner are painted white here. The
    first section of each patient has a pathologist's labels in ``obs["region"]``, missing where there is none. The
    letter names the patient, also in ``obs["patient"]``: split by it.

    Micrometres per pixel come from all spots at once: 0.92 for patient A, 0.69 for the others. (Distances to the
    nearest spot alone would say 0.98 and 0.73, because printed spots stray from their places.)

    Parameters
    ----------
    section
        A1 to A6, B1 to B6, C1 to C6, D1 to D6, E1 to E3, F1 to F3.

    Raises
    ------
    OfflineError
        The files are neither on disk nor can they be downloaded.

    Examples
    --------
    >>> adata = hs.datasets.her2st("C2")
    >>> hs.pp.tile(adata)
    """
    if section not in _SECTIONS:
        raise OptionError("section", found=repr(section), expected=f"one of {_SECTIONS}", fix="Choose one of these.")
    pictures = _pictures(section)
    names = [f"her2st/ST-cnts/{section}.tsv.gz", f"her2st/ST-spotfiles/{section}_selection.tsv", *pictures]
    table = f"her2st/ST-pat/lbl/{section}_labeled_coordinates.tsv"
    counts, spots, *rest = paths_of(*names, *([table] if section in _LABELLED else []))
    image, scale = _image(section, rest[0] if pictures else None)
    adata = read_st(counts, image, spots=spots, image_scale=scale, library_id=section, patient=section[0])
    if section in _LABELLED:
        region = _regions(pd.read_csv(rest[-1], sep="\t"), adata.obs_names)
        write(adata, {Keys.REGION: region}, by="datasets.her2st", params={"section": section})
    return adata


def _pictures(section: str) -> list[str]:
    """Name of the H&E image of a section, if there is one that is public."""
    if section == "A1":
        return [_SMALL_PICTURE]
    return [name for name in registry() if name.startswith(f"her2st/ST-imgs/{section}/")][:1]


def _image(section: str, path: Path | None) -> tuple[Path | None, float]:
    """H&E image of a section and its pixels per pixel of the spot file."""
    if path is None:
        log.info("%s has no public image that is known here; genes and positions alone", section)
        return None, 1.0
    return (_without_annotation(path), _SMALL_SCALE) if section == "A1" else (path, 1.0)


def _regions(table: pd.DataFrame, spots: pd.Index) -> pd.Categorical:
    """Label of each spot; the table's positions are jittered array coordinates, its pixels another frame."""
    table = table.dropna(subset=["x", "y", "label"])
    # Halves up, as the authors' R code and not as numpy rounds.
    x, y = (np.floor(table[axis] + 0.5).astype(int).astype(str) for axis in "xy")
    labels = table["label"].set_axis(x + "x" + y)
    labels = labels[~labels.index.duplicated(keep=False)]
    return pd.Categorical(labels.reindex(spots))


def _without_annotation(source: Path) -> Path:
    """Copy of A1's picture with white where its background was painted black and where lines were drawn."""
    path = settings.cache_dir / "images" / "her2st_A1.png"
    if not path.is_file():
        pixels = np.array(Image.open(source).convert("RGB"))
        pixels[_ANNOTATED_CORNER] = 255
        pixels[_painted(pixels)] = 255
        with atomic(path) as beside:
            Image.fromarray(pixels).save(beside)
    return path


def _painted(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Black areas that reach the border of the picture; dark nuclei do not."""
    pieces, _ = ndimage.label(pixels.max(axis=2) < _BLACK)
    edges = (pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1])
    return np.isin(pieces, np.setdiff1d(np.concatenate(edges), [0]))
