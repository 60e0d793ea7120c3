"""Space Ranger folders of all versions, with and without their images."""

import gzip
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp
from PIL import Image

from histoscribe._errors import FileError, ImageError, MissingError, ScaleError
from histoscribe._sections import section_mpp
from histoscribe.io import open_image, read_visium

MPP, HIRES, LOWRES = 2.0, 0.5, 0.25
COLUMNS = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]
SYMBOLS = ["Actb", "Gapdh", "Gapdh", "Xist"]


def _array() -> pd.DataFrame:
    row, column = np.argwhere([[(r + c) % 2 == 0 for c in range(16)] for r in range(12)]).T
    table = pd.DataFrame({"in_tissue": 1, "array_row": row, "array_col": column})
    table.insert(0, "barcode", [f"ACGT{k:03d}-1" for k in range(len(table))])
    table.loc[::5, "in_tissue"] = 0
    table["pxl_row_in_fullres"] = (30 + row * 50 * np.sqrt(3) / MPP).round(3)
    table["pxl_col_in_fullres"] = (40 + column * 50 / MPP).round(3)
    return table


def _matrix_folder(folder: Path, barcodes: list[str], counts: Any) -> None:
    folder.mkdir()
    genes = pd.DataFrame({"id": [f"ENSMUSG{k}" for k in range(4)], "name": SYMBOLS, "type": "Gene Expression"})
    genes.to_csv(folder / "features.tsv.gz", sep="\t", header=False, index=False)
    pd.Series(barcodes).to_csv(folder / "barcodes.tsv.gz", header=False, index=False)
    with gzip.open(folder / "matrix.mtx.gz", "wb") as file:
        scipy.io.mmwrite(file, sp.coo_matrix(counts.T))


def _matrix_h5(path: Path, barcodes: list[str], counts: Any) -> None:
    by_spot = sp.csc_matrix(counts.T)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array(barcodes, dtype="S")
        group["data"], group["indices"], group["indptr"] = by_spot.data, by_spot.indices, by_spot.indptr
        group["shape"] = by_spot.shape
        features = group.create_group("features")
        features["id"] = np.array([f"ENSMUSG{k}" for k in range(4)], dtype="S")
        features["name"] = np.array(SYMBOLS, dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * 4, dtype="S")
        features["genome"] = np.array(["mm10"] * 4, dtype="S")


def _fullres() -> np.ndarray:
    pixels = np.full((560, 480, 3), 235, dtype=np.uint8)
    y, x = np.mgrid[:560, :480] + 0.5
    for k, spot in _array().iterrows():
        pixels[np.hypot(x - spot["pxl_col_in_fullres"], y - spot["pxl_row_in_fullres"]) < 9] = (k, 255 - k, 60)
    return pixels


def make(folder: Path, *, version: int = 2, h5: bool = True, pictures: tuple[str, ...] = ("hires", "lowres")) -> Path:
    """Write a Space Ranger folder whose counts and pixels tell the number of the spot."""
    spatial = folder / "sample1" / "outs" / "spatial"
    spatial.mkdir(parents=True)
    table = _array()
    name = "tissue_positions_list.csv" if version == 1 else "tissue_positions.csv"
    table.sample(frac=1, random_state=0).to_csv(spatial / name, index=False, header=version > 1)
    factors = {"tissue_hires_scalef": HIRES, "tissue_lowres_scalef": LOWRES, "spot_diameter_fullres": 65 / MPP}
    (spatial / "scalefactors_json.json").write_text(json.dumps(factors))
    for picture in pictures:
        step = int(1 / factors[f"tissue_{picture}_scalef"])
        Image.fromarray(_fullres()[::step, ::step]).save(spatial / f"tissue_{picture}_image.png")
    kept = table[table["in_tissue"] == 1]
    counts = np.ones((len(kept), 4), dtype=np.int32) * np.array([0, 1, 2, 3])
    counts[:, 0] = kept.index
    outs = spatial.parent
    writer, target = (_matrix_h5, ".h5") if h5 else (_matrix_folder, "")
    writer(outs / f"filtered_feature_bc_matrix{target}", kept["barcode"].tolist(), counts)
    return outs


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("h5", [True, False])
def test_every_layout_gives_the_same(version: int, h5: bool, tmp_path: Path) -> None:
    adata = read_visium(make(tmp_path, version=version, h5=h5))
    assert adata.var_names.tolist() == ["Actb", "Gapdh", "Gapdh-1", "Xist"]
    assert adata.var["gene_ids"].tolist() == [f"ENSMUSG{k}" for k in range(4)]
    assert (adata.obs["in_tissue"] == 1).all()
    assert list(adata.uns["spatial"]) == ["sample1"]
    assert section_mpp(adata, "sample1") == pytest.approx(MPP, rel=1e-5)
    table = _array().set_index("barcode").loc[adata.obs_names]
    np.testing.assert_array_equal(adata.obsm["spatial"], table[["pxl_col_in_fullres", "pxl_row_in_fullres"]])
    np.testing.assert_array_equal(adata.obs[["array_row", "array_col"]], table[["array_row", "array_col"]])
    numbers = np.flatnonzero(_array()["in_tissue"] == 1)
    np.testing.assert_array_equal(adata.X.toarray()[:, 0], numbers)
    adata.X.data[:] = 0
    np.testing.assert_array_equal(adata.layers["counts"].toarray()[:, 0], numbers)


@pytest.mark.parametrize(
    ("image", "pictures", "scale"),
    [
        (None, ("hires", "lowres"), HIRES),
        (None, ("lowres",), LOWRES),
        ("lowres", ("hires", "lowres"), LOWRES),
        ("hires", ("hires",), HIRES),
        ("full", ("hires", "lowres"), 1.0),
        ("full", (), 1.0),
    ],
)
def test_spots_lie_on_their_pixels(image: str | None, pictures: tuple[str, ...], scale: float, tmp_path: Path) -> None:
    outs = make(tmp_path, pictures=pictures)
    given: Any = image
    if image == "full":
        given = tmp_path / "full.png"
        Image.fromarray(_fullres()).save(given)
    adata = read_visium(outs, image=given)
    entry = adata.uns["spatial"]["sample1"]
    assert entry["metadata"]["image_scale"] == scale
    picture, factor = entry["images"]["hires"], entry["scalefactors"]["tissue_hires_scalef"]
    with open_image(adata) as linked:
        assert (linked.width, linked.height) == (480, 560)
        assert linked.mpp == pytest.approx(MPP, rel=1e-5)
        for (x, y), number in zip(adata.obsm["spatial"], adata.X.toarray()[:, 0], strict=True):
            expected = [number, 255 - number, 60]
            assert linked.read(x - 1, y - 1, 2, 2)[0, 0].tolist() == expected
            assert picture[int(y * factor), int(x * factor)].tolist() == expected


def test_what_was_derived_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="histoscribe"):
        read_visium(make(tmp_path, pictures=("lowres",)))
    assert "2.0000 um per pixel of the positions" in caplog.text
    assert "tissue_lowres_image.png is linked, 8.0000 um per pixel" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_no_image_at_all_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    adata = read_visium(make(tmp_path, pictures=()))
    assert "pass image=" in caplog.text
    assert adata.uns["spatial"]["sample1"]["images"] == {}


def test_a_contradicting_spot_diameter_warns_and_the_pitch_wins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outs = make(tmp_path)
    path = outs / "spatial" / "scalefactors_json.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"spot_diameter_fullres": 65 / 1.0}))
    adata = read_visium(outs)
    assert section_mpp(adata, "sample1") == pytest.approx(MPP, rel=1e-5)
    assert "2.0000 um per pixel by the pitch" in caplog.text
    assert "1.0000 by spot_diameter_fullres" in caplog.text


def test_the_folder_above_outs_is_understood(tmp_path: Path) -> None:
    assert read_visium(make(tmp_path).parent).n_obs == read_visium(tmp_path / "sample1" / "outs").n_obs


def _unlink(outs: Path, name: str) -> None:
    path = outs / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _rewrite(outs: Path, name: str, content: str) -> None:
    (outs / name).write_text(content)


@pytest.mark.parametrize(
    ("harm", "error", "message"),
    [
        (lambda o: _unlink(o, "spatial"), FileError, "Pass Space Ranger's outs folder"),
        (lambda o: _unlink(o, "filtered_feature_bc_matrix.h5"), FileError, "expected filtered_feature_bc_matrix.h5"),
        (lambda o: _rewrite(o, "filtered_feature_bc_matrix.h5", "no"), FileError, "expected a 10x matrix"),
        (lambda o: _rewrite(o, "b_filtered_feature_bc_matrix.h5", "no"), FileError, "expected one matrix"),
        (lambda o: _unlink(o, "spatial/tissue_positions.csv"), FileError, "tissue positions"),
        (lambda o: _rewrite(o, "spatial/tissue_positions.csv", "a,b\n1,2\n"), FileError, "expected columns"),
        (lambda o: _rewrite(o, "spatial/tissue_positions.csv", "a,1,1,1,1,\n"), FileError, "1 rows with gaps"),
        (lambda o: _rewrite(o, "spatial/tissue_positions.csv", "a,1,1,1,1,1\n" * 2), FileError, "barcode twice"),
        (lambda o: _rewrite(o, "spatial/tissue_positions.csv", "a,1,1,1,1,1\n"), ScaleError, "on one line"),
        (
            lambda o: _rewrite(o, "spatial/tissue_positions.csv", "a,1,0,0,0,0\nb,1,0,2,0,50\nc,1,1,1,43.3,25\n"),
            MissingError,
            "barcodes without a position",
        ),
        (lambda o: _unlink(o, "spatial/scalefactors_json.json"), FileError, "scale factors"),
        (lambda o: _rewrite(o, "spatial/scalefactors_json.json", "{}"), FileError, "spot_diameter_fullres"),
    ],
)
def test_harmed_folders(harm: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    outs = make(tmp_path)
    harm(outs)
    with pytest.raises(error, match=message):
        read_visium(outs)


def test_wrong_images(tmp_path: Path) -> None:
    outs = make(tmp_path, pictures=("lowres",))
    with pytest.raises(FileError, match=r"no tissue_hires_image.png.*image='hires'"):
        read_visium(outs, image="hires")
    with pytest.raises(FileError, match=r"image .*none.tif.*found nothing"):
        read_visium(outs, image=tmp_path / "none.tif")
    with pytest.raises(ImageError, match="within 120 x 140 pixels"):  # the small picture taken for the large one
        read_visium(outs, image=outs / "spatial" / "tissue_lowres_image.png")


def test_an_image_of_another_size_is_not_the_one(tmp_path: Path) -> None:
    outs, path = make(tmp_path), tmp_path / "other.png"
    Image.fromarray(np.full((900, 1200, 3), 200, dtype=np.uint8)).save(path)
    with pytest.raises(ImageError, match=r"found 1200 x 900 .*expected 480 x 560 by 'hires', 480 x 560 by 'lowres'"):
        read_visium(outs, image=path)


def test_swapped_columns_warn(tmp_path: Path) -> None:
    outs = make(tmp_path, pictures=())
    path = outs / "spatial" / "tissue_positions.csv"
    pxl = ["pxl_row_in_fullres", "pxl_col_in_fullres"]
    pd.read_csv(path).rename(columns=dict(zip(pxl, pxl[::-1], strict=True))).to_csv(path, index=False)
    with pytest.warns(UserWarning, match="pxl_col_in_fullres and pxl_row_in_fullres appear swapped"):
        read_visium(outs)


def test_a_real_folder_without_its_hires_image(data: Path) -> None:
    adata = read_visium(data / "visium_mouse_cytassist")
    assert adata.shape == (2898, 19465)
    entry = adata.uns["spatial"]["visium_mouse_cytassist"]
    assert entry["metadata"]["image_scale"] == 0.2
    assert entry["metadata"]["mpp"] == pytest.approx(4.667, abs=0.01)
    counts = adata.layers["counts"]
    assert counts.format == "csr"
    assert counts.sum() / adata.n_obs == pytest.approx(1065, abs=1)


def test_the_image_of_another_section_is_refused(data: Path) -> None:
    other = data / "her2st" / "ST-imgs" / "C2" / "5714_HE_BT_C2.jpg"
    with pytest.raises(ImageError, match=r"found 9274 x 9911 .*expected 3000 x 3000 by 'lowres'"):
        read_visium(data / "visium_mouse_cytassist", image=other)
