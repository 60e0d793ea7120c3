"""Nuclei of one tile, found by a threshold on haematoxylin."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from skimage.filters import threshold_otsu
from skimage.measure import label

_SMOOTH_UM, _AROUND_UM = 0.75, 12.5
_AREA_UM2 = (8.0, 400.0)  # smaller is dust or a fragment, larger a clump or a fold
_LEAST_STAIN = 0.15  # haematoxylin above which a pixel can be nucleus at all: glass has noise, not nuclei


def nuclei(haematoxylin: NDArray[np.floating], tissue: NDArray[np.bool_], mpp: float) -> dict[str, float]:
    """Measure number, area, shape and stain of nuclei; zeros where there are none.

    Parameters
    ----------
    haematoxylin
        Density of the stain (rows, columns).
    tissue
        Pixels that are not glass.
    mpp
        Micrometres per pixel.
    """
    area, eccentricity, density = blobs(segment(haematoxylin, tissue, mpp), haematoxylin)
    area = area * mpp**2
    kept = (area >= _AREA_UM2[0]) & (area <= _AREA_UM2[1])
    area, eccentricity, density = area[kept], eccentricity[kept], density[kept]
    tile_um2 = haematoxylin.size * mpp**2
    some = len(area) > 0
    return {
        "nuclei_per_mm2": len(area) / tile_um2 * 1e6,
        "nuclei_fraction": float(area.sum()) / tile_um2,
        "nuclei_area_mean": float(area.mean()) if some else 0.0,
        "nuclei_area_std": float(area.std()) if some else 0.0,
        "nuclei_eccentricity_mean": float(eccentricity.mean()) if some else 0.0,
        "nuclei_eccentricity_std": float(eccentricity.std()) if some else 0.0,
        "nuclei_h_mean": float(density.mean()) if some else 0.0,
        "nuclei_h_std": float(density.std()) if some else 0.0,
    }


def segment(haematoxylin: NDArray[np.floating], tissue: NDArray[np.bool_], mpp: float) -> NDArray[np.integer]:
    """Label what is darker than Otsu's threshold of the tissue and than its surroundings.

    The surroundings part nuclei that touch; glass has no say in the threshold, or all tissue would be nucleus beside it.
    """
    smooth = gaussian_filter(haematoxylin, _SMOOTH_UM / mpp)
    values = smooth[tissue]
    if values.size == 0 or np.ptp(values) < 1e-6:
        return np.zeros(haematoxylin.shape, dtype=np.intp)
    around = uniform_filter(smooth, round(_AROUND_UM / mpp))
    level = max(threshold_otsu(values), _LEAST_STAIN)
    return label(smooth > np.maximum(around, level), connectivity=1)


def blobs(labels: NDArray[np.integer], values: NDArray[np.floating]) -> tuple[NDArray[np.float64], ...]:
    """Area (pixels), eccentricity and mean value of each labelled region, from sums over its pixels.

    As :func:`skimage.measure.regionprops`, which takes ten times as long because it visits region by region.
    """
    y, x = np.nonzero(labels)
    of = labels[y, x] - 1
    n = int(labels.max(initial=0))

    def mean(weights: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(of, weights=weights, minlength=n) / area

    area = np.bincount(of, minlength=n).astype(np.float64)
    my, mx = mean(y), mean(x)
    yy, xx, xy = mean((y - my[of]) ** 2), mean((x - mx[of]) ** 2), mean((y - my[of]) * (x - mx[of]))
    middle, apart = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    large = np.where(middle > 0, middle + apart, 1)  # a single pixel has no axes
    eccentricity = np.sqrt(np.clip(2 * apart / large, 0, 1))  # √(1 - small axis² / large axis²)
    return area, eccentricity, mean(values[y, x])
