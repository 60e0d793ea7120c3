"""Sections with a planted truth: the engine of our tests, and data for a first try without a download."""

from dataclasses import asdict
from typing import Literal, overload

import numpy as np
import pandas as pd
from anndata import AnnData

from .._errors import OptionError
from .._keys import Keys
from .._record import plain, write
from .._types import check_types
from .._units import to_px
from ..io._link import entry
from ._plant import DETAIL_UM, PITCH_UM, SPOT_UM, Plant, Truth, draw_truth
from ._toy_counts import draw_counts, gene_names, gene_sets
from ._toy_image import TOY_MPP, paint


@overload
def toy(
    *,
    n_slides: Literal[1] = 1,
    n_spots: int = 400,
    n_genes: int = 500,
    plant: Plant | None = None,
    random_state: int = 0,
) -> AnnData: ...
@overload
def toy(
    *, n_slides: int, n_spots: int = 400, n_genes: int = 500, plant: Plant | None = None, random_state: int = 0
) -> list[AnnData]: ...
def toy(
    *, n_slides: int = 1, n_spots: int = 400, n_genes: int = 500, plant: Plant | None = None, random_state: int = 0
) -> AnnData | list[AnnData]:
    """Make sections with counts, an H&E-like image and a truth that is known.

    Spots lie as on Visium (100 um apart); every slide is of another patient and has its own layout.

    Parameters
    ----------
    n_slides
        Sections to make; more than one gives a list.
    n_spots
        Spots of a section.
    n_genes
        Genes; each pathway of the plant takes its own.
    plant
        What to plant, see :class:`Plant`.
    random_state
        Seed.

    Returns
    -------
    A section, or a list of them, with ``layers["counts"]``, ``obsm["spatial"]`` and the image in ``uns["spatial"]``.
    The truth is in ``obs["true_domain"]``, ``obs["true_carrier"]``, ``obsm["true_pathways"]``,
    ``obsm["true_cell_types"]`` and ``uns["truth"]`` (gene sets, links, the slide's label, the fine map).

    Raises
    ------
    OptionError
        Too few genes or spots for the plant.

    Examples
    --------
    >>> adata = hs.datasets.toy()
    >>> hs.pp.score_pathways(adata, adata.uns["truth"]["gene_sets"])

    Two slides where neither modality tells the domains apart, but both together do:

    >>> slides = hs.datasets.toy(n_slides=2, plant=hs.datasets.Plant(split=True))
    """
    check_types(toy, locals())
    plant = plant or Plant()
    if n_slides < 1 or n_spots < 7 or n_genes < 1:
        found = f"n_slides={n_slides}, n_spots={n_spots}, n_genes={n_genes}"
        raise OptionError("toy", found=found, expected="at least 1 slide, 7 spots and a gene", fix="Ask for more.")
    shared = np.random.default_rng([random_state, 0])
    base = shared.lognormal(0, 0.8, size=n_genes)
    slides = []
    for k in range(n_slides):
        rng = np.random.default_rng([random_state, 1 + k])
        truth = draw_truth(plant, n_spots, positive=k % 2 == 1 or n_slides == 1, rng=rng)
        slides.append(_section(truth, plant, base, k + 1, rng))
    return slides if n_slides > 1 else slides[0]


def _section(truth: Truth, plant: Plant, base: np.ndarray, number: int, rng: np.random.Generator) -> AnnData:
    sets = gene_sets(plant, list(truth.activity), len(base))
    counts = draw_counts(truth, plant, base, sets, rng)
    n, name, patient = len(truth.domain), f"toy_{number}", f"P{number}"
    obs = pd.DataFrame(index=[f"{name}_{i:04d}" for i in range(n)])
    adata = AnnData(counts, obs=obs, var=pd.DataFrame(index=gene_names(len(base))))
    adata.layers[Keys.COUNTS] = counts.copy()
    adata.obs[Keys.LIBRARY_ID] = pd.Categorical([name] * n)
    adata.obs[Keys.PATIENT] = pd.Categorical([patient] * n)
    xy, diameter = to_px(truth.xy_um, TOY_MPP), float(to_px(SPOT_UM, TOY_MPP))
    adata.obsm[Keys.SPATIAL] = xy
    described = entry(paint(truth, plant, rng), xy, mpp=TOY_MPP, spot_diameter=diameter, patient=patient)
    adata.uns[Keys.LIBRARIES] = {name: described}
    write(adata, _truth_slots(adata, truth, plant, sets), by="datasets.toy", params={"plant": plant, "number": number})
    return adata


def _truth_slots(adata: AnnData, truth: Truth, plant: Plant, sets: dict[str, list[str]]) -> dict:
    rest = {
        "gene_sets": sets,
        "plant": plain(asdict(plant)),
        "links": truth.links,
        "slide_label": bool(truth.positive and plant.carriers > 0),
        "pitch_um": PITCH_UM,
    }
    if truth.detail is not None:
        rest |= {"detail": truth.detail, "detail_um": DETAIL_UM}
    slots = {
        Keys.TRUE_DOMAIN: pd.Categorical([f"D{k}" for k in truth.domain]),
        Keys.TRUE_CARRIER: truth.carrier,
        Keys.TRUE_PATHWAYS: truth.activity.set_axis(adata.obs_names, axis=0).astype(np.float32),
        Keys.TRUTH: rest,
    }
    if truth.cell_types is not None:
        slots[Keys.TRUE_CELL_TYPES] = truth.cell_types.set_axis(adata.obs_names, axis=0).astype(np.float32)
    return slots
