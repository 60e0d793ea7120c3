"""Micrometres per pixel that are missing, can't be, differ between x and y, or contradict the spots."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import HistoscribeError, ScaleError

from .pictures import (
    MPP,
    bare,
    closed,
    encode,
    linked,
    messages,
    on_their_colours,
    painted,
    quiet,
    saved,
    st_tables,
    visium_folder,
)  # fmt: skip
from .row import Defined, Raises, Row
from .spatials import of_image


def _unknown() -> AnnData:
    adata = linked(painted())
    del adata.uns["spatial"]["s"]["metadata"]["mpp"]
    return adata


def _link(adata: AnnData, image: Any, **options: Any) -> AnnData:
    hs.io.link_image(adata, image, **options)
    return adata


def _by_tag(path: Path) -> Any:
    with hs.io.open_image(path) as image:
        return image.mpp


def _wrong(mpp: Any) -> Any:
    def build() -> AnnData:
        adata = linked(painted())
        adata.uns["spatial"]["s"]["metadata"]["mpp"] = mpp
        return adata

    return build


_BY_UNS: dict[str, Any] = {
    "pp.tile": lambda adata: hs.pp.tile(adata),
    "pp.spatial_graph": lambda adata: hs.pp.spatial_graph(adata),
    "tl.encode_image": encode,
}
_OF_UNS: dict[str, Any] = {
    **_BY_UNS,
    "io.open_image": hs.io.open_image,
    "pp.tissue_mask": lambda adata: hs.pp.tissue_mask(adata),
    "pp.fit_stain": lambda adata: hs.pp.fit_stain(adata),
    "pl.spatial": closed(lambda adata: hs.pl.spatial(adata)),
    "pl.tiles": closed(lambda adata: hs.pl.tiles(adata)),
}
_OPTION: dict[str, Any] = {
    "io.open_image": lambda mpp: hs.io.open_image(painted(), mpp=mpp),
    "io.link_image": lambda mpp: hs.io.link_image(bare(), painted(), mpp=mpp),
    "io.read_st": lambda mpp: hs.io.read_st(st_tables()[0], painted(), spots=st_tables()[1], mpp=mpp),
    "io.tile_slide": lambda mpp: hs.io.tile_slide(saved(painted()), mpp=mpp),
    "io.from_spatialdata": lambda mpp: hs.io.from_spatialdata(of_image(painted()), mpp=mpp),
}
MISSING = [
    Row("I12", "a section whose um per pixel nobody says", _unknown, _BY_UNS,
        Raises(ScaleError, field=r"uns\['spatial'\]\['s'\]\['metadata'\]\['mpp'\]", fix=r"link_image\(adata, mpp=", found="nothing")),
    Row("I12", "a section whose um per pixel nobody says", _unknown,
        {"pl.spatial crop in um": closed(lambda adata: hs.pl.spatial(adata, crop=(0, 0, 100, 100)))},
        Raises(ScaleError, field="mpp", fix="Set it|mpp", found="nothing")),
    Row("I12", "an image and an AnnData that do not say it", bare,
        {"io.link_image": lambda adata: _link(adata, saved(painted())), "io.link_image of an array": lambda adata: _link(adata, painted())},
        Raises(ScaleError, field="um per pixel", fix="Pass mpp=", found="nothing in the image's metadata")),
    Row("I12", "an image that does not say it", lambda: saved(painted()),
        {"io.open_image mpp": _by_tag, "io.tile_slide": lambda path: hs.io.tile_slide(path),
         "io.open_image read at a scale": lambda path: hs.io.open_image(path).read(0, 0, 9, 9, mpp=1.0)},
        Raises(ScaleError, field=r"image\.png", fix="Pass mpp=", found="JPEG and PNG carry none")),
    Row("I12", "a SpatialData, which never says it", lambda: of_image(painted()),
        {"io.from_spatialdata pp.tile": lambda sdata: hs.pp.tile(hs.io.from_spatialdata(sdata))},
        Raises(ScaleError, field="mpp", fix="link_image", found="nothing")),
]  # fmt: skip


def _dpi_72() -> Path:
    return saved(painted(), "image.tif", resolution=(72, 72), resolutionunit=2)


def _one_a_cm() -> Path:
    return saved(painted(), "image.tif", resolution=(1, 1), resolutionunit=3)


def _same(value: Any) -> Any:
    return value


IMPLAUSIBLE = [
    *(
        Row("I13", f"mpp={mpp!r}", partial(_same, mpp), _OPTION, Raises(ScaleError, field="mpp", fix="Pass mpp=", found=".+"))
        for mpp in (0, -0.5, float("nan"), 352.8)
    ),
    Row("I13", "mpp='half'", lambda: "half", _OPTION, Raises(HistoscribeError, field="mpp", fix=".", found="'half'")),
    *(
        Row("I13", f"{mpp!r} um per pixel in uns", _wrong(mpp), _OF_UNS,
            Raises(ScaleError, field=r"metadata'\]\['mpp'\]", fix=r"Set adata\.uns", found=str(mpp)))
        for mpp in (0.0, -2.0, 352.8)
    ),
    *(
        Row("I13", f"a TIFF whose resolution tag says {says} um per pixel", build,
            {"io.open_image mpp": _by_tag, "io.tile_slide": lambda path: hs.io.tile_slide(path)},
            Raises(ScaleError, field=r"image\.tif", fix="Pass mpp=", found=f"{says} um from the TIFF resolution tags is not plausible"))
        for build, says in ((_dpi_72, "352.8"), (_one_a_cm, "1e\\+04"))
    ),
]  # fmt: skip


def _stretched(off: float) -> Path:
    return saved(painted(), "image.tif", resolution=(5000, 5000 * (1 + off)), resolutionunit=3)


def _believed(given: Any, returned: Any) -> None:
    assert returned.uns["spatial"][next(iter(returned.uns["spatial"]))]["metadata"]["mpp"] == MPP
    on_their_colours(returned)


def _mean(given: Any, returned: float) -> None:
    np.testing.assert_allclose(returned, (2.0 + 2.0 / 1.005) / 2, rtol=1e-6)


ANISOTROPIC = [
    Row("I14", "a TIFF of 2 um in x and 1.9 in y", lambda: _stretched(0.05),
        {
            "io.open_image": hs.io.open_image, "io.link_image": lambda path: _link(bare(), path),
            "io.tile_slide": lambda path: hs.io.tile_slide(path), "pp.fit_stain": lambda path: hs.pp.fit_stain(path),
        },
        Raises(ScaleError, field=r"mpp of .*image\.tif", fix="Resample .* or pass mpp=", found="2 in x and 1.905 in y")),
    Row("I14", "a TIFF of 2 um in x and 1.9 in y, and mpp=", lambda: _stretched(0.05),
        {"io.link_image": lambda path: _link(bare(), path, mpp=MPP)},
        Defined("what the user says is believed", _believed)),
    Row("I14", "a TIFF whose x and y differ by half a per cent", lambda: _stretched(0.005), {"io.open_image mpp": _by_tag},
        Defined("the mean of both", _mean)),
]  # fmt: skip


def _visium(**options: Any) -> AnnData:
    """A section as scanpy reads it: the array of Visium, 50 pixels between spots, so 2 um a pixel."""
    row, column = np.argwhere([[(r + c) % 2 == 0 for c in range(10)] for r in range(6)]).T
    adata = bare(np.column_stack([40 + column * 25.0, 38 + row * 25 * 3**0.5]))
    adata.obs["array_row"], adata.obs["array_col"] = row, column
    return adata


def _contradicted() -> AnnData:
    adata = _visium()
    with quiet():
        hs.io.link_image(adata, painted(adata.obsm["spatial"]), library_id="s")
    adata.uns["spatial"]["s"]["metadata"]["mpp"] = 3.0
    return adata


def _said(value: float) -> Any:
    def check(given: Any, returned: AnnData) -> None:
        found = [entry["metadata"]["mpp"] for entry in returned.uns["spatial"].values()]
        np.testing.assert_allclose(found, [value], rtol=1e-6)

    return check


def _tiles_by_uns(given: AnnData, returned: Any) -> None:
    np.testing.assert_allclose(given.obsm["tiles"][:, 2:], 30.0)


def _pitch_fails(given: AnnData, returned: pd.DataFrame) -> None:
    table = returned.set_index("check")
    assert table.loc["pitch", "ok"] is np.False_ or not table.loc["pitch", "ok"]
    np.testing.assert_allclose(table.loc["pitch", "value"], 150.0, rtol=1e-6)
    assert "link_image(adata, mpp=2)" in table.loc["pitch", "advice"]


def _other_tags() -> Path:
    return saved(painted(_visium().obsm["spatial"]), "image.tif", resolution=(3333, 3333), resolutionunit=3)


def _logged(given: Any, returned: tuple[AnnData, str]) -> None:
    adata, lines = returned
    assert "the file says 3.0003 um per pixel" in lines
    assert " 2.0000" in lines
    _said(2.0)(given, adata)


CONTRADICTED = [
    Row("I15", "mpp=3 where the array says 2", _visium,
        {"io.link_image": lambda adata: _link(adata, painted(adata.obsm["spatial"]), mpp=3.0)},
        Defined("the user is believed, with a warning that names both", _said(3.0), warns="array says 2.0000 .* mpp= 3.0000")),
    Row("I15", "tags that say 3 um where the array says 2", _visium,
        {"io.link_image": lambda adata: _link(adata, _other_tags())},
        Defined("the image is believed, with a warning that names both", _said(3.00030003), warns="array says 2.0000 .* 3.0003")),
    Row("I15", "mpp=3 where the array says 4", lambda: None,
        {"io.read_st": lambda _: hs.io.read_st(st_tables()[0], painted(), spots=st_tables()[1], mpp=3.0)},
        Defined("the user is believed, with a warning that names both", _said(3.0), warns="array says 4.0000 .* mpp= 3.0000")),
    Row("I15", "tags that say 3 um where the array says 2", visium_folder,
        {"io.read_visium": lambda outs: messages(lambda: hs.io.read_visium(outs, image=_other_tags()))},
        Defined("the array is believed, and both are logged", _logged)),
    Row("I15", "3 um per pixel in uns where the array says 2", _contradicted, {"pp.tile": lambda adata: hs.pp.tile(adata, size_um=90)},
        Defined("boxes by uns, with a warning that names both", _tiles_by_uns, warns=r"array says 2.0000 .* 3.0000.*link_image\(adata\)")),
    Row("I15", "3 um per pixel in uns where the array says 2", _contradicted,
        {"pp.check_registration": lambda adata: hs.pp.check_registration(adata)},
        Defined("the pitch fails: 150 um, with the call that mends it", _pitch_fails)),
]  # fmt: skip

ROWS = [*MISSING, *IMPLAUSIBLE, *ANISOTROPIC, *CONTRADICTED]
