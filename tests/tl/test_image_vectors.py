from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import OptionError
from histoscribe._keys import Keys, LibraryKeys, valid
from histoscribe.tl import _feature_cache

from .cached import Counting, N, chunks, encode, section, stores

pytestmark = pytest.mark.filterwarnings("ignore:image of")  # there is no file: pixels are in uns


@pytest.fixture
def adata(monkeypatch: pytest.MonkeyPatch) -> AnnData:
    monkeypatch.setattr(_feature_cache, "CHUNK_ROWS", 8)
    return section()


def test_several_slots_are_read_in_one_pass_and_kept_apart(adata: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    from histoscribe.io import SlideImage

    tiles = adata.obsm[Keys.TILES]
    adata.obsm["tiles_x3"] = np.column_stack([tiles[:, :2] - 16, tiles[:, 2:] * 3])
    adata.obsm["tiles_x3"][4] = np.nan
    apart = adata.copy()
    passes: list[int] = []
    read = SlideImage.read_tiles

    def counted(*arguments: Any) -> Any:
        passes.append(1)
        return read(*arguments)

    monkeypatch.setattr(SlideImage, "read_tiles", counted)
    encoder = Counting()
    hs.tl.encode_image(adata, encoder, tiles_key=["tiles", "tiles_x3"])
    assert (len(passes), encoder.n_tiles) == (1, 2 * N - 1)
    hs.tl.encode_image(apart, Counting(), cache=False)
    np.testing.assert_array_equal(adata.obsm["X_image"], apart.obsm["X_image"])
    with pytest.warns(UserWarning, match=r"1\.50 um per pixel"):
        hs.tl.encode_image(apart, Counting(), tiles_key="tiles_x3", key_added="X_image_x3", cache=False)
    np.testing.assert_array_equal(adata.obsm["X_image_x3"], apart.obsm["X_image_x3"])
    assert np.flatnonzero(~adata.obs[valid("X_image_x3")]).tolist() == [4]
    assert adata.obs[valid("X_image")].all()
    assert encode(adata)[0] == 0  # the first slot's vectors are found without the second
    with pytest.raises(OptionError, match="tiles_key"):
        hs.tl.encode_image(adata, Counting(), tiles_key=["tiles", "tiles"])


def test_pixels_come_from_one_level_whatever_is_cached_already(
    adata: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coarse level of this pyramid shows something else: whoever reads it is found out."""
    import tifffile

    full = adata.uns[Keys.LIBRARIES]["S1"][LibraryKeys.IMAGES].pop(LibraryKeys.HIRES)
    with tifffile.TiffWriter(tmp_path / "he.tif") as tiff:
        tiff.write(full, tile=(64, 64), photometric="rgb", subifds=1)
        tiff.write(255 - full[::2, ::2], tile=(64, 64), photometric="rgb", subfiletype=1)
    adata.uns[Keys.LIBRARIES]["S1"][LibraryKeys.METADATA][LibraryKeys.PATH] = str(tmp_path / "he.tif")
    low = np.argsort(adata.obsm[Keys.TILES][:, 1] + 16)[-8:]
    adata.obsm[Keys.TILES][:, 2:] = 64
    adata.obsm[Keys.TILES][np.setdiff1d(np.arange(N), low), 2:] = 16
    adata.obsm[Keys.TILES][low, 1] = 180  # the last chunk is of large boxes alone
    _, vectors = encode(adata)
    Path.unlink(chunks(stores()[0])[-1])
    n, mended = encode(adata)
    assert 0 < n <= 8
    np.testing.assert_array_equal(mended, vectors)


@pytest.mark.filterwarnings("ignore:no two stains")  # of noise
def test_stain_is_fitted_only_where_tiles_are_to_be_encoded(adata: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    density = rng.uniform(0, 1, (64, 64, 2)) @ np.array([[0.56, 0.72, 0.41], [0.22, 0.8, 0.56]])
    reference, other = (hs.pp.fit_stain((255 * np.exp(-strength * density)).astype(np.uint8)) for strength in (1, 2))
    plain, _ = encode(adata)
    n, vectors = encode(adata, stain=reference)
    assert (plain, n) == (N, N)
    monkeypatch.delattr(hs.pp, "fit_stain")
    again, same = encode(adata, stain=reference)
    assert again == 0
    np.testing.assert_array_equal(same, vectors)
    with pytest.raises(ImportError, match="fit_stain"):
        encode(adata, stain=other)
