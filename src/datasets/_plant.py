"""What can be planted in a toy section, and where it lies: the truth, before it is seen as counts or as an image."""

from dataclasses import dataclass, field, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from .._checks import to_python
from .._errors import OptionError
from .._types import check_types

PITCH_UM, SPOT_UM, DETAIL_UM = 100.0, 55.0, 20.0
CHANNELS = ("nuclear_size", "nuclear_darkness", "vacuoles")  # what a pathway can be linked to

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Plant:
    """What to plant in :func:`histoscribe.datasets.toy`.

    Everything varies in small patches or from spot to spot, repeated and interleaved over the section, so that
    coordinates alone tell nothing about it.

    Parameters
    ----------
    signal
        Strength of all that is planted: 0 leaves counts and image independent of the truth, 1 makes it plain.
    n_domains
        Tissue domains. Each has a pathway of its own and a look of its own.
    patch
        Side of a patch, in spots.
    split
        Split the domains between the modalities: the image shows only ``domain // 2``, the genes only ``domain % 2``,
        so that neither tells the domains apart and both together do.
    n_links
        Pathways whose activity is seen in the image, in this order: size of nuclei, their darkness, vacuoles.
    n_pairs
        Pathway pairs with a third programme that follows their product, so that neither of them predicts it.
    n_niches
        Neighbourhood programmes: a programme that follows the mean of another one in the neighbouring spots, and is
        independent of it in the spot itself.
    n_scattered
        Programmes that differ from spot to spot without any pattern in the tissue.
    n_cell_types
        Cell types with marker genes and nuclei of their own, mixed in each spot.
    detail
        Plant a programme in blobs finer than spots, dense with small nuclei; a spot's genes see their mean.
    carriers
        Share of the spots of a positive slide (every second one) that carry its label, in genes and looks.
    n_null
        Pathways that nothing is planted in.
    genes_per_pathway
        Genes of each pathway; no gene is in two.
    """

    signal: float = 1.0
    n_domains: int = 4
    patch: int = 3
    split: bool = False
    n_links: int = 1
    n_pairs: int = 0
    n_niches: int = 0
    n_scattered: int = 0
    n_cell_types: int = 0
    detail: bool = False
    carriers: float = 0.0
    n_null: int = 10
    genes_per_pathway: int = 12

    def __post_init__(self) -> None:
        to_python(self)
        check_types(Plant, vars(self))
        low = {"n_domains": 1, "patch": 1, "genes_per_pathway": 1}
        for f in fields(self):
            value = getattr(self, f.name)
            if not value >= low.get(f.name, 0):
                expected = f"{low.get(f.name, 0)} or more"
                raise OptionError(f"Plant.{f.name}", found=repr(value), expected=expected, fix="See hs.datasets.Plant.")
        if self.n_links > len(CHANNELS):
            raise OptionError(
                "Plant.n_links", found=str(self.n_links), expected=f"at most {len(CHANNELS)}", fix="Lower it."
            )
        if self.carriers > 1:
            raise OptionError("Plant.carriers", found=str(self.carriers), expected="a share, 0 to 1", fix="Lower it.")
        if self.split and self.n_domains % 2:
            raise OptionError(
                "Plant.n_domains", found=str(self.n_domains), expected="an even number to split", fix="Add 1."
            )


@dataclass
class Truth:
    """Where everything lies in one section.

    ``activity`` (n, P) is what the genes show, one column a pathway; ``look`` (n, 2) how a spot's tissue looks;
    ``channels`` what the nuclei show, by name.
    """

    xy_um: Floats
    domain: NDArray[np.int64]
    activity: pd.DataFrame
    look: Floats
    channels: dict[str, Floats]
    carrier: NDArray[np.bool_]
    positive: bool
    cell_types: pd.DataFrame | None = None
    detail: NDArray[np.bool_] | None = None
    links: dict[str, str] = field(default_factory=dict)


def draw_truth(plant: Plant, n_spots: int, *, positive: bool, rng: np.random.Generator) -> Truth:
    """Lay out one section; the strength of the signal plays no part yet."""
    xy = hexagonal_grid(n_spots)
    domain = _domains(plant, xy, rng)
    gene_side = domain % 2 if plant.split else domain
    image_side = domain // 2 if plant.split else domain
    truth = Truth(
        xy_um=xy,
        domain=domain,
        activity=pd.DataFrame({f"DOMAIN_{k}": (gene_side == k).astype(float) for k in range(gene_side.max() + 1)}),
        look=_looks(image_side),
        channels={},
        carrier=np.zeros(n_spots, dtype=bool),
        positive=positive,
    )
    _add_links(truth, plant, rng)
    _add_pairs(truth, plant, rng)
    _add_niches(truth, plant, rng)
    _add_scattered(truth, plant, rng)
    _add_cell_types(truth, plant, rng)
    _add_detail(truth, plant, rng)
    _add_carriers(truth, plant, rng)
    null = pd.DataFrame(0.0, truth.activity.index, [f"NULL_{k}" for k in range(plant.n_null)])
    truth.activity = pd.concat([truth.activity, null], axis=1)
    return truth


def hexagonal_grid(n_spots: int) -> Floats:
    """Centres (n, 2), um, of spots in Visium's hexagonal arrangement, filling a square row by row."""
    row_step = PITCH_UM * np.sqrt(3) / 2
    columns = int(np.ceil(np.sqrt(n_spots * row_step / PITCH_UM)))
    row, column = np.divmod(np.arange(n_spots), columns)
    return np.column_stack([(column + 0.5 * (row % 2)) * PITCH_UM, row * row_step]) + 2 * PITCH_UM


def neighbours(xy: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs (spot, neighbour) of the first ring, both ways."""
    pairs = cKDTree(xy).query_pairs(1.2 * PITCH_UM, output_type="ndarray")
    return np.concatenate([pairs[:, 0], pairs[:, 1]]), np.concatenate([pairs[:, 1], pairs[:, 0]])


def _patches(plant: Plant, xy: Floats) -> NDArray[np.int64]:
    column, row = np.floor((xy - xy.min(axis=0)) / (plant.patch * PITCH_UM)).astype(int).T
    return np.unique(row * (column.max() + 1) + column, return_inverse=True)[1]


def _by_patch(plant: Plant, xy: Floats, rng: np.random.Generator) -> Floats:
    """One standard normal value a patch: varied, but without a trend over the section."""
    patch = _patches(plant, xy)
    return rng.standard_normal(patch.max() + 1)[patch]


def _domains(plant: Plant, xy: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    patch = _patches(plant, xy)
    return rng.permutation(np.arange(patch.max() + 1) % plant.n_domains)[patch]


def _looks(side: NDArray[np.int64]) -> Floats:
    """Points on a circle: amount of eosin and density of nuclei, equally different for all domains."""
    angle = 2 * np.pi * side / (side.max() + 1)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def _add_links(truth: Truth, plant: Plant, rng: np.random.Generator) -> None:
    for k, channel in enumerate(CHANNELS[: plant.n_links]):
        truth.channels[channel] = _by_patch(plant, truth.xy_um, rng)
        truth.activity[f"LINK_{k}"] = truth.channels[channel]
    truth.links = {f"LINK_{k}": c for k, c in enumerate(CHANNELS[: plant.n_links])}


def _add_pairs(truth: Truth, plant: Plant, rng: np.random.Generator) -> None:
    for k in range(plant.n_pairs):
        a, b = (np.sign(_by_patch(plant, truth.xy_um, rng)) for _ in range(2))
        truth.activity[f"PAIR_{k}_A"], truth.activity[f"PAIR_{k}_B"], truth.activity[f"PAIR_{k}_PRODUCT"] = a, b, a * b


def _add_niches(truth: Truth, plant: Plant, rng: np.random.Generator) -> None:
    spot, other = neighbours(truth.xy_um)
    degree = np.maximum(np.bincount(spot, minlength=len(truth.domain)), 1)
    for k in range(plant.n_niches):
        source = rng.choice([-1.0, 1.0], size=len(truth.domain))
        truth.activity[f"NICHE_{k}_SOURCE"] = source
        summed = np.bincount(spot, weights=source[other], minlength=len(source))
        truth.activity[f"NICHE_{k}_RESPONSE"] = summed / np.sqrt(degree)


def _add_scattered(truth: Truth, plant: Plant, rng: np.random.Generator) -> None:
    for k in range(plant.n_scattered):
        truth.activity[f"SCATTERED_{k}"] = rng.choice([-1.0, 1.0], size=len(truth.domain))


def _add_cell_types(truth: Truth, plant: Plant, rng: np.random.Generator) -> None:
    if not plant.n_cell_types:
        return
    fields_ = np.column_stack([_by_patch(plant, truth.xy_um, rng) for _ in range(plant.n_cell_types)])
    share = np.exp(1.5 * fields_ + 0.5 * rng.standard_normal(fields_.shape))
    share /= share.sum(axis=1, keepdims=True)
    names = [f"CELLTYPE_{k}" for k in range(plant.n_cell_types)]
    truth.cell_types = pd.DataFrame(share, columns=names)
    for name in names:
        truth.activity[name] = 3 * (truth.cell_types[name] - 1 / plant.n_cell_types)


def _add_detail(truth: Truth, plant: Plant, rng: np.random.Generator) -> None:
    if not plant.detail:
        return
    width, height = np.ceil((truth.xy_um.max(axis=0) + 2 * PITCH_UM) / DETAIL_UM).astype(int)
    blobs = gaussian_filter(rng.standard_normal((height, width)), 1.5, mode="wrap")
    truth.detail = blobs > np.median(blobs)
    # Share of a spot's disc that is covered, on the grid's cells.
    y, x = (np.indices(truth.detail.shape) + 0.5) * DETAIL_UM
    cells = cKDTree(np.column_stack([x.ravel(), y.ravel()])).query_ball_point(truth.xy_um, SPOT_UM / 2)
    covered = np.array([truth.detail.ravel()[c].mean() for c in cells])
    truth.activity["DETAIL"] = (covered - covered.mean()) / max(covered.std(), 1e-9)


def _add_carriers(truth: Truth, plant: Plant, rng: np.random.Generator) -> None:
    if not plant.carriers:
        return
    n = len(truth.domain)
    if truth.positive:
        truth.carrier[rng.choice(n, size=max(1, round(plant.carriers * n)), replace=False)] = True
    truth.activity["CARRIER"] = 2.0 * truth.carrier
