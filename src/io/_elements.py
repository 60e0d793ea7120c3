"""Elements of a SpatialData: which image an element lies on, and where."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._errors import MissingError, OptionError

if TYPE_CHECKING:
    from spatialdata import SpatialData

_AXES = ("x", "y")


@dataclass(frozen=True)
class Placement:
    """An element on an image.

    Parameters
    ----------
    image
        Name of the image.
    system
        Coordinate system that both have.
    pixels
        The finest resolution (rows, columns, channels), lazy.
    from_system
        Affine map (3, 3) from the coordinate system to pixels.
    diameter
        Typical diameter of the element's shapes in pixels; None where it has no extent.
    """

    image: str
    system: str
    pixels: Any
    from_system: NDArray[np.float64]
    diameter: float | None

    def to_image(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels of positions (n, 2) in the coordinate system."""
        return xy @ self.from_system[:2, :2].T + self.from_system[:2, 2]


@dataclass(frozen=True)
class _Candidate:
    name: str
    system: str
    element_to_image: NDArray[np.float64]
    from_system: NDArray[np.float64]
    pixels: Any

    @property
    def rank(self) -> tuple[bool, float]:
        """8-bit RGB first, then the most pixels per unit of the element."""
        rgb = self.pixels.shape[2] == 3 and self.pixels.dtype == np.uint8
        return rgb, round(float(np.log(_stretch(self.element_to_image))), 3)


def place(sdata: "SpatialData", region: str, image_key: str | None) -> Placement:
    """Find the image that an element lies on, and the map to its pixels."""
    if image_key is not None and image_key not in sdata.images:
        fix = "Pass image_key=, one of these."
        raise MissingError("sdata.images", found=f"only {list(sdata.images)}", expected=repr(image_key), fix=fix)
    names = list(sdata.images) if image_key is None else [image_key]
    found = [candidate for name in names if (candidate := _candidate(sdata, region, name)) is not None]
    if not found:
        systems = {name: sorted(_systems(sdata[name])) for name in (region, *names)}
        fix = "Align them: spatialdata.transformations.set_transformation(...)."
        raise MissingError(
            "coordinate systems", found=systems, expected=f"one that {region!r} shares with an image", fix=fix
        )
    best = max(found, key=lambda candidate: candidate.rank)
    if rivals := [c.name for c in found if c.rank == best.rank and c is not best]:
        found_names = [best.name, *rivals]
        raise OptionError("image_key", found=f"{found_names}, alike", expected="one image", fix="Pass image_key=.")
    diameter = _diameter(sdata[region])
    scaled = None if diameter is None else diameter * _stretch(best.element_to_image)
    return Placement(best.name, best.system, best.pixels, best.from_system, scaled)


def centroids(element: Any, system: str) -> pd.DataFrame:
    """Centres x, y of an element's shapes, labels or points in a coordinate system, indexed by instance."""
    from spatialdata import get_centroids

    return get_centroids(element, coordinate_system=system).compute()[list(_AXES)]


def check_shapes(element: Any, name: str) -> None:
    """Refuse shapes that have no centre or no size that can be believed."""
    if not hasattr(element, "geometry"):
        return
    if not element.index.is_unique:
        field, fix = f"instance ids of {name!r}", "Make them unique."
        raise OptionError(field, found="duplicates in the element", expected="unique ids", fix=fix)
    shapes, call = element.geometry, f"sdata[{name!r}]"
    empty = (shapes.isna() | shapes.is_empty).to_numpy()
    invalid = ~empty & ~shapes.is_valid.to_numpy() & (shapes.geom_type != "Point").to_numpy()
    expected, field = "shapes with a centre", f"shapes of {name!r}"
    if empty.any():
        found, fix = f"{empty.sum()} empty, such as {element.index[empty][0]!r}", "Remove them from element and table."
        raise OptionError(field, found=found, expected=expected, fix=fix)
    if invalid.any():
        fix = f"Repair them: {call}['geometry'] = {call}.geometry.make_valid()."
        found = f"{invalid.sum()} that cross themselves, such as {element.index[invalid][0]!r}"
        raise OptionError(field, found=found, expected=expected, fix=fix)
    if not (shapes.geom_type == "Point").all():
        return
    radius = element["radius"].to_numpy(np.float64) if "radius" in element else np.full(len(element), np.nan)
    if bad := int((~(np.isfinite(radius) & (radius > 0))).sum()):
        fix = f"Set them: {call}['radius'] = ..., in the unit of its positions."
        raise OptionError(f"radius of {name!r}", found=f"{bad} missing or not positive", expected="radii", fix=fix)


def _systems(element: Any) -> dict[str, Any]:
    from spatialdata.transformations import get_transformation

    return get_transformation(element, get_all=True)


def _matrix(transformation: Any) -> NDArray[np.float64]:
    return np.asarray(transformation.to_affine_matrix(_AXES, _AXES), dtype=np.float64)


def _candidate(sdata: "SpatialData", region: str, image: str) -> _Candidate | None:
    of_element, of_image = _systems(sdata[region]), _systems(sdata[image])
    shared = sorted(set(of_element) & set(of_image))
    if not shared:
        return None
    maps = {}
    for system in shared:
        to_system = _matrix(of_image[system])
        if not abs(np.linalg.det(to_system)) > 0:
            fix = "Set an invertible transformation."
            raise OptionError(f"transformation of {image!r}", found="no inverse", expected="an affine map", fix=fix)
        maps[system] = np.linalg.inv(to_system).astype(np.float64)
    ways = [maps[system] @ _matrix(of_element[system]) for system in shared]
    if not all(np.allclose(way, ways[0], rtol=1e-3, atol=0.5) for way in ways):
        raise OptionError(
            f"coordinate systems {shared}",
            found=f"different places of {region!r} on {image!r}",
            expected="the same place through each",
            fix="Remove the wrong one: spatialdata.transformations.remove_transformation(...).",
        )
    return _Candidate(image, shared[0], ways[0], maps[shared[0]], _pixels(sdata[image]))


def _pixels(image: Any) -> Any:
    """Finest resolution as (rows, columns, channels); single- or multi-scale, axes told by name."""
    finest = image if hasattr(image, "transpose") and hasattr(image, "data") else _first_scale(image)
    return finest.transpose("y", "x", "c").data


def _first_scale(tree: Any) -> Any:
    from spatialdata import get_pyramid_levels

    return get_pyramid_levels(tree, n=0)


def _stretch(affine: NDArray[np.float64]) -> float:
    return float(np.sqrt(abs(np.linalg.det(affine[:2, :2]))))


def _diameter(element: Any) -> float | None:
    """Typical diameter of circles, or of circles with the area of the polygons."""
    if not hasattr(element, "geometry"):
        return None
    if "radius" in element:
        return 2 * float(np.median(element["radius"]))
    return 2 * float(np.sqrt(np.median(element.geometry.area) / np.pi)) or None
