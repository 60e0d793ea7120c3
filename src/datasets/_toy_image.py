"""The image of a toy section: nuclei and stroma in haematoxylin and eosin, painted from the planted truth."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from skimage.color import rgb_from_hed

from ._plant import DETAIL_UM, PITCH_UM, Plant, Truth

TOY_MPP = 1.0  # um per pixel
_EDGE_UM = 90.0  # tissue reaches this far beyond the outermost spots
_NUCLEI_STEP_UM = 18.0  # one place for a nucleus in each square of this side


def paint(truth: Truth, plant: Plant, rng: np.random.Generator) -> NDArray[np.uint8]:
    """H&E image (rows, columns, 3) of a section, at 1 um per pixel."""
    width, height = np.ceil((truth.xy_um.max(axis=0) + 2 * PITCH_UM) / TOY_MPP).astype(int)
    spot, tissue = _nearest_spot(truth, width, height)
    eosin = 0.30 + 0.13 * plant.signal * truth.look[spot, 0] + _texture((height, width), rng)
    haematoxylin = 0.08 + 0.5 * _texture((height, width), rng)
    for x, y, radius, dark in _nuclei(truth, plant, spot, rng):
        _stamp(haematoxylin, x, y, radius, dark)
    for x, y in _vacuoles(truth, plant, spot, rng):
        for stain in (haematoxylin, eosin):
            _stamp(stain, x, y, 4.0 / TOY_MPP, 0.0)
    density = np.stack([haematoxylin, eosin], axis=-1).clip(0) * tissue[..., None]
    return (255 * np.exp(-density @ (2.3 * rgb_from_hed[:2]))).round().astype(np.uint8)


def _nearest_spot(truth: Truth, width: int, height: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Spot that each pixel belongs to, and whether it is tissue; found on every fourth pixel."""
    step = 4
    y, x = np.mgrid[0:height:step, 0:width:step] + step / 2
    distance, spot = cKDTree(truth.xy_um).query(np.stack([x, y], axis=-1) * TOY_MPP)
    full = [np.repeat(np.repeat(a, step, 0), step, 1)[:height, :width] for a in (spot, distance < _EDGE_UM)]
    return full[0], full[1]


def _texture(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    fibres = gaussian_filter(rng.standard_normal(shape).astype(np.float32), (2.0, 5.0))
    return 0.06 * fibres / fibres.std()


def _places(
    shape: tuple[int, int], step_um: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Jittered grid of places (k, 2), x and y in pixels, and a threshold for each.

    Thresholds are spread evenly over 0 to 1 in every 4 x 4 places: keeping the places below a share p keeps that share
    everywhere, where independent draws would make the density of nuclei noise of the size of the signal.
    """
    step = step_um / TOY_MPP
    y, x = np.mgrid[step / 2 : shape[0] : step, step / 2 : shape[1] : step]
    rows, columns = -(-y.shape[0] // 4), -(-y.shape[1] // 4)
    ranks = rng.permuted(np.tile(np.arange(16), (rows * columns, 1)), axis=1).reshape(rows, columns, 4, 4)
    spread = ranks.swapaxes(1, 2).reshape(4 * rows, 4 * columns)[: y.shape[0], : y.shape[1]]
    places = np.column_stack([x.ravel(), y.ravel()])
    places = (places + rng.uniform(-0.4, 0.4, places.shape) * step).clip(0, np.array(shape[::-1]) - 1.0)
    return places, (spread.ravel() + 0.5) / 16


def _nuclei(truth: Truth, plant: Plant, spot: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.float64]:
    """Nuclei (k, 4): x, y and radius in pixels, darkness."""
    s, zero = plant.signal, np.zeros(len(truth.domain))
    places, threshold = _places(spot.shape, _NUCLEI_STEP_UM, rng)
    at = spot[places[:, 1].astype(int), places[:, 0].astype(int)]
    odds = 0.45 + 0.3 * s * truth.look[at, 1]
    radius = 4.0 + 0.9 * s * truth.channels.get("nuclear_size", zero)[at] + 0.4 * rng.standard_normal(len(at))
    dark = 0.65 + 0.13 * s * truth.channels.get("nuclear_darkness", zero)[at] + 0.05 * rng.standard_normal(len(at))
    if truth.cell_types is not None:
        kind = (truth.cell_types.to_numpy()[at].cumsum(axis=1) < rng.random((len(at), 1))).sum(axis=1)
        tilt = kind / max(plant.n_cell_types - 1, 1) - 0.5
        radius, dark = radius + 2.5 * s * tilt, dark - 0.3 * s * tilt
    carried = truth.carrier[at]
    radius, dark = radius + 2.5 * s * carried, dark + 0.25 * s * carried
    kept = threshold < odds
    found = np.column_stack([places, radius.clip(1.5) / TOY_MPP, dark.clip(0.15)])[kept]
    return np.concatenate([found, _detail_nuclei(truth, plant, spot.shape, rng)])


def _detail_nuclei(truth: Truth, plant: Plant, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Small dark nuclei, crowded where the fine programme is on."""
    if truth.detail is None:
        return np.empty((0, 4))
    places, threshold = _places(shape, 8.0, rng)
    column, row = (places * TOY_MPP / DETAIL_UM).astype(int).T
    inside = truth.detail[row.clip(max=truth.detail.shape[0] - 1), column.clip(max=truth.detail.shape[1] - 1)]
    kept = places[threshold < 0.35 + plant.signal * np.where(inside, 0.3, -0.3)]
    return np.column_stack([kept, np.full(len(kept), 2.0 / TOY_MPP), np.full(len(kept), 0.6)])


def _vacuoles(truth: Truth, plant: Plant, spot: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.float64]:
    if "vacuoles" not in truth.channels:
        return np.empty((0, 2))
    places, threshold = _places(spot.shape, 22.0, rng)
    at = spot[places[:, 1].astype(int), places[:, 0].astype(int)]
    return places[threshold < 0.15 + 0.1 * plant.signal * truth.channels["vacuoles"][at]]


def _stamp(canvas: NDArray[np.float64], x: float, y: float, radius: float, value: float) -> None:
    """Set a disc with a soft rim."""
    reach = int(np.ceil(radius + 1))
    top, left = max(int(y) - reach, 0), max(int(x) - reach, 0)
    window = canvas[top : int(y) + reach + 1, left : int(x) + reach + 1]
    rows, columns = np.ogrid[top : top + window.shape[0], left : left + window.shape[1]]
    cover = (radius + 0.5 - np.hypot(columns + 0.5 - x, rows + 0.5 - y)).clip(0, 1)
    window += cover * (value - window)
