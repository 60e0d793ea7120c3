"""Rows A29, A30, A32 and A36: several sections, their names, and what uns says of them."""

from collections.abc import Callable, Mapping
from typing import Any

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import ImageError, MissingError, OptionError, ScaleError

from .row import Defined, Elsewhere, Raises, Row, Try
from .sections import halved
from .tries import COUNTS, LEARNING, POSITIONS, as_clean, clean, drawn, graph, image_vectors, same, tiles

_NAME = "toy_1"
_IMAGES: Mapping[str, Try] = {
    "tl.encode_image": image_vectors,
    "pp.tissue_mask": hs.pp.tissue_mask,
    "pp.fit_stain": lambda a: hs.pp.fit_stain(a, n_pixels=10_000),
    "io.open_image": hs.io.open_image,
}
_SCALES: Mapping[str, Try] = {"pp.tile": tiles, "pp.spatial_graph": graph, **LEARNING}


def _changed(change: Callable[[AnnData], object]) -> Callable[[], AnnData]:
    def build() -> AnnData:
        adata = halved()
        change(adata)
        return adata

    return build


def _two_libraries(adata: AnnData) -> None:
    adata.uns["spatial"]["other"] = adata.uns["spatial"][_NAME]
    del adata.obs["library_id"]


def _two() -> list[AnnData]:
    first, second = halved(), halved()
    second.uns["spatial"] = {"toy_2": second.uns["spatial"][_NAME]}
    second.obs["library_id"] = pd.Categorical(["toy_2"] * second.n_obs)
    second.obs_names = [f"{name}_again" for name in second.obs_names]
    return [first, second]


def _joined(**options: Any) -> Callable[[], AnnData]:
    return lambda: anndata.concat(_two(), **options)


def _blocks(_: AnnData, found: Any) -> None:
    """The graph of each section, and no edge between them."""
    for first, rows in enumerate((slice(0, 60), slice(60, 120))):
        same(found[rows, rows], clean("pp.spatial_graph"))
        assert found[rows, slice(60, 120) if first == 0 else slice(0, 60)].nnz == 0


def _stacked(_: AnnData, found: np.ndarray) -> None:
    same(found, np.concatenate([clean("pp.tile")] * 2))


def _several() -> list[Row | Elsewhere]:
    given, build = "two libraries in uns['spatial'], and no column that tells them apart", _changed(_two_libraries)
    named: Mapping[str, Try] = {
        "io.open_image": hs.io.open_image,
        "pp.fit_stain": _IMAGES["pp.fit_stain"],
        "io.link_image": lambda a: hs.io.link_image(a, "hires", mpp=1.0),
    }
    tried = {name: call for name, call in {**POSITIONS, **_IMAGES}.items() if name not in named}
    fix = "Write the section of each row into obs"
    by_key = Raises(MissingError, r"obs\['library_id'\]", fix, r"2 libraries .*'toy_1', 'other'")
    by_id = Raises(
        MissingError,
        "library_id",
        "Pass library_id=|remove the other libraries",
        r"2 sections|\['toy_1', 'other'\] in uns",
    )
    over = "two sections that lie over each other"
    whole = _joined(uns_merge="unique")
    return [
        Row("A29", given, build, tried, by_key),
        Row("A29", given, build, named, by_id),
        Row("A29", over, whole, {"pp.spatial_graph": graph}, Defined("no edge joins them", _blocks)),
        Row("A36", "joined with uns_merge='unique'", whole, {"pp.tile": tiles}, Defined("as apart", _stacked)),
    ]


def _without_scale_factors(adata: AnnData) -> None:
    del adata.uns["spatial"][_NAME]["scalefactors"]


def _of_another(adata: AnnData) -> None:
    adata.uns["spatial"] = {"other": adata.uns["spatial"][_NAME]}


def _without_image(adata: AnnData) -> None:
    adata.uns["spatial"][_NAME]["images"] = {}


def _same_places(_: AnnData, found: list[np.ndarray]) -> None:
    same(found[0], clean("pl.spatial")[0])


def _entries() -> list[Row | Elsewhere]:
    """A30: uns["spatial"] or parts of it are missing."""
    none, other = "no uns['spatial']", "uns['spatial'] of another section"
    lost, bare = _changed(lambda a: a.uns.pop("spatial")), _changed(_without_image)
    unlinked = Raises(MissingError, r"^uns\['spatial'\]$", r"hs\.io\.link_image\(.*uns_merge='unique'", "only ")
    unscaled = Raises(
        ScaleError, r"uns\['spatial'\]\['toy_1'\]\['metadata'\]\['mpp'\]", r"uns_merge='unique'.*link_image\(\)"
    )
    foreign = Raises(MissingError, r"uns\['spatial'\]\['toy_1'\]", "uns_merge='unique'", r"only \['other'\]")
    factor = Raises(ScaleError, r"\['scalefactors'\]\['tissue_hires_scalef'\]", "Set adata.uns", "None")
    without = Raises(ImageError, "image of 'toy_1'", "source_image_path", r"no linked file, and no images\['hires'\]")
    store = {"io.to_spatialdata": POSITIONS["io.to_spatialdata"]}
    shown = Defined("drawn without an image", _same_places)
    return [
        Row("A30", none, lost, {**_IMAGES, **store}, unlinked),
        Row("A30", none, lost, _SCALES, unscaled),
        Row("A30", other, _changed(_of_another), {**_IMAGES, **_SCALES, **store}, foreign),
        Row("A30", "no scale factors", _changed(_without_scale_factors), {**_IMAGES, **store}, factor),
        Row("A30", "no image", bare, _IMAGES, without),
        Row("A30", "no image", bare, {"pl.spatial": drawn}, shown),
        Row("A36", "joined without uns_merge", _joined(), _SCALES, unscaled),
        Row("A36", "joined without uns_merge", _joined(), {**_IMAGES, **store}, unlinked),
    ]


def _unused(adata: AnnData) -> None:
    for key in ("library_id", "half"):
        adata.obs[key] = adata.obs[key].cat.add_categories(["nobody"])


def _text(adata: AnnData) -> None:
    for key in ("library_id", "half"):
        adata.obs[key] = adata.obs[key].astype(str).to_numpy(dtype=object)


def _holed(adata: AnnData) -> None:
    column = adata.obs["library_id"].astype(object)
    column.iloc[[2, 9]] = np.nan
    adata.obs["library_id"] = pd.Categorical(column)


def _numbers_and_text(adata: AnnData) -> None:
    adata.obs["library_id"] = pd.Categorical([1, "1"] * 30, categories=[1, "1"])


def _domains(adata: AnnData) -> None:
    """Labels with two missing, and a category that no spot has in front of the others."""
    column = adata.obs["true_domain"].astype(object)
    column.iloc[[2, 9]] = np.nan
    adata.obs["true_domain"] = pd.Categorical(column, categories=["Z", *sorted(set(column.dropna()))])


def _one_color_each(adata: AnnData, found: list[np.ndarray]) -> None:
    """Spots of a domain share the colour that uns keeps for it, in the order of the categories."""
    from matplotlib.colors import to_rgba

    column = adata.obs["true_domain"]
    assert column.cat.categories[0] == "Z"
    colors = [to_rgba(one) for one in adata.uns["true_domain_colors"]]
    assert len(colors) == len(column.cat.categories)
    placed = column.notna().to_numpy()
    same(found[1][placed, :3], np.array(colors)[column.cat.codes[placed], :3])
    assert not any(np.allclose(found[1][2, :3], color[:3]) for color in colors)


def _labels_left_out(adata: AnnData, found: pd.DataFrame) -> None:
    labelled = int(adata.obs["true_domain"].notna().sum())
    assert found.attrs["left_out"]["spots_without_label"] == adata.n_obs - labelled == 2
    assert "Z" not in found.attrs["classes"]


def _labels(adata: AnnData) -> pd.DataFrame:
    options: dict[str, Any] = {"use_rep": "X_genes", "patients": "half", "min_spots": 2, "strengths": (1.0,)}
    return hs.tl.linear_probe(adata, "true_domain", **options)


def _columns() -> list[Row | Elsewhere]:
    """A32: categories that are unused, missing, or text."""
    rows: list[Row | Elsewhere] = []
    by_section = {**POSITIONS, "tl.expression_probe": COUNTS["tl.expression_probe"]}
    for given, change in {"categories that no spot has": _unused, "text instead of categories": _text}.items():
        tried = {name: _keeping_obs(call) for name, call in by_section.items()}
        rows += as_clean("A32", given, _changed(change), tried, says="as with categories, and obs is as it was")
    field = r"obs\['library_id'\]"
    missing, twice = (
        Raises(OptionError, field, "Fill them in", "2 missing"),
        Raises(OptionError, field, r"astype\(str\)"),
    )
    colours = Defined("grey, and every colour is its category's", _one_color_each)
    labels = Defined("no class, and counted", _labels_left_out)
    return [
        *rows,
        Row("A32", "sections missing", _changed(_holed), {**POSITIONS, **_IMAGES}, missing),
        Row("A35", "sections 1 and '1'", _changed(_numbers_and_text), {**POSITIONS, **_IMAGES}, twice),
        Row(
            "A32", "labels missing, and a category that no spot has", _changed(_domains), {"pl.spatial": drawn}, colours
        ),
        Row(
            "A32",
            "labels missing, and a category that no spot has",
            _changed(_domains),
            {"tl.linear_probe": _labels},
            labels,
        ),
    ]


def _keeping_obs(call: Try) -> Try:
    def tried(adata: AnnData) -> Any:
        before = {key: adata.obs[key].copy() for key in ("library_id", "half")}
        found = call(adata)
        for key, column in before.items():
            pd.testing.assert_series_equal(adata.obs[key], column)
        return found

    return tried


ROWS: list[Row | Elsewhere] = [*_several(), *_entries(), *_columns()]
