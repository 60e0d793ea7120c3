"""SpatialData objects of the painted section, to spoil: the table lists the spots in another order than the element."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .pictures import N, colours, folder, painted, places, quiet, seen

EYE = np.eye(3)
ROTATED = np.array([[np.cos(0.4), -np.sin(0.4), 900.0], [np.sin(0.4), np.cos(0.4), -50.0], [0, 0, 1]])
SHEARED = np.array([[2.0, 0.3, 10.0], [0.1, 1.5, -7.0], [0, 0, 1]])
SWAPPED = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])


def affine(matrix: NDArray[np.float64]) -> Any:
    """Map of x and y."""
    from spatialdata.transformations import Affine

    return Affine(matrix, input_axes=("x", "y"), output_axes=("x", "y"))


def moved(xy: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions (n, 2) through an affine map."""
    return np.column_stack([xy, np.ones(len(xy))]) @ matrix[:2].T


def built(
    *,
    pixels: NDArray | None = None,
    image_map: NDArray[np.float64] = ROTATED,
    element_map: NDArray[np.float64] = SHEARED,
    system: str = "aligned",
    element_system: str = "aligned",
    scale_factors: Any = None,
    order: NDArray[np.intp] | None = None,
    chunks: Any = None,
    names: bool = True,
) -> Any:
    """Image, circles and table; ``obs["k"]`` says which disc a row of the table is."""
    import spatialdata as sd
    from spatialdata.models import Image2DModel, ShapesModel

    pixels = painted() if pixels is None else pixels
    pixels = np.atleast_3d(pixels)
    rgb = {"c_coords": ["r", "g", "b"]} if names and pixels.shape[2] == 3 else {}
    with quiet():
        image = Image2DModel.parse(
            pixels.transpose(2, 0, 1), dims=("c", "y", "x"), transformations={system: affine(image_map)},
            scale_factors=scale_factors, chunks=chunks, **rgb,
        )  # fmt: skip
        own = moved(moved(places(), image_map), np.linalg.inv(element_map).astype(np.float64))
        circles = ShapesModel.parse(
            own, geometry=0, radius=2.0, index=[f"c{k}" for k in range(N)],
            transformations={element_system: affine(element_map)},
        )  # fmt: skip
        return sd.SpatialData(images={"he": image}, shapes={"circles": circles}, tables={"table": table(order)})


def table(order: NDArray[np.intp] | None = None) -> AnnData:
    """Counts that annotate the circles, in this order."""
    from spatialdata.models import TableModel

    order = np.random.default_rng(1).permutation(N) if order is None else order
    obs = pd.DataFrame({"k": order, "where": pd.Categorical(["circles"] * len(order))})
    obs["id"] = [f"c{k}" for k in order]
    counts = np.random.default_rng(0).poisson(3.0, (N, 5)).astype(np.float32)[order]
    made = AnnData(counts, obs=obs.set_axis([f"row{k}" for k in order]))
    return TableModel.parse(made, region="circles", region_key="where", instance_key="id")


def of_image(pixels: NDArray) -> Any:
    """The section in one frame, rows as painted, with that image."""
    return built(pixels=pixels, image_map=EYE, element_map=EYE, order=np.arange(N))


def stored(**options: Any) -> Path:
    """The object as a store on disk."""
    path = folder() / "section.zarr"
    with quiet():
        built(**options).write(path)
    return path


def opened(path: Path) -> Any:
    """The store, read."""
    import spatialdata as sd

    with quiet():
        return sd.read_zarr(path)


def on_their_colours(adata: AnnData, *, atol: float = 1.5) -> None:
    """See that each row lies on the disc of its number."""
    np.testing.assert_allclose(seen(adata), colours()[adata.obs["k"].to_numpy(int)], atol=atol)
