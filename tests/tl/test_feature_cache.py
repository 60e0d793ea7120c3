import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from numpy.typing import NDArray

import histoscribe as hs
from histoscribe._errors import OptionError
from histoscribe._keys import Keys, LibraryKeys
from histoscribe.tl import _collect, _feature_cache
from histoscribe.tl._feature_cache import FeatureCache

from . import cached
from .cached import Counting, N, chunks, encode, section, stores

pytestmark = pytest.mark.filterwarnings("ignore:image of")  # there is no file: pixels are in uns


@pytest.fixture
def adata(monkeypatch: pytest.MonkeyPatch) -> AnnData:
    monkeypatch.setattr(_feature_cache, "CHUNK_ROWS", 8)
    return section()


def test_second_call_encodes_nothing_and_gives_the_same(adata: AnnData) -> None:
    n, vectors = encode(adata)
    again, same = encode(adata)
    assert (n, again) == (N, 0)
    np.testing.assert_array_equal(same, vectors)
    assert len(stores()) == 1
    assert encode(adata, cache=False)[0] == N


def test_second_call_decodes_no_pixels(adata: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    _, vectors = encode(adata)
    from histoscribe.io import SlideImage

    monkeypatch.delattr(SlideImage, "read_tiles")
    np.testing.assert_array_equal(encode(adata)[1], vectors)


def test_order_of_spots_finds_the_same_vectors(adata: AnnData) -> None:
    _, vectors = encode(adata)
    order = np.random.default_rng(1).permutation(N)
    n, shuffled = encode(adata[order].copy())
    assert n == 0
    np.testing.assert_array_equal(shuffled, vectors[order])


def _moved(adata: AnnData) -> None:
    adata.obsm[Keys.TILES][5, 0] += 0.25


def _repainted(adata: AnnData) -> None:
    adata.uns[Keys.LIBRARIES]["S1"][LibraryKeys.IMAGES][LibraryKeys.HIRES][0, 0, 0] ^= 1


def _rescaled(adata: AnnData) -> None:
    adata.uns[Keys.LIBRARIES]["S1"][LibraryKeys.SCALEFACTORS][LibraryKeys.HIRES_SCALE] = 0.9999


@pytest.mark.parametrize("change", [_moved, _repainted, _rescaled])
def test_what_changes_pixels_is_encoded_anew(adata: AnnData, change: Callable[[AnnData], None]) -> None:
    encode(adata)
    change(adata)
    assert encode(adata)[0] == N


@pytest.mark.parametrize(("name", "value"), [("sha256", "other"), ("size", 24), ("name", "other")])
@pytest.mark.filterwarnings("ignore:mpp of section")
def test_another_encoder_is_encoded_anew(adata: AnnData, name: str, value: Any) -> None:
    encode(adata)
    encoder = Counting()
    setattr(encoder, name, value)
    assert encode(adata, encoder)[0] == N


def _deleted(file: Path) -> None:
    file.unlink()


def _truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def _emptied(file: Path) -> None:
    file.write_bytes(b"")


def _zeroed(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def _flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[10] ^= 1
    file.write_bytes(bytes(content))


@pytest.mark.parametrize("array", ["vectors", "marks"])
@pytest.mark.parametrize("damage", [_deleted, _truncated, _emptied, _zeroed, _flipped])
def test_a_damaged_chunk_is_made_anew_and_never_read(
    adata: AnnData, damage: Callable[[Path], None], array: str
) -> None:
    _, vectors = encode(adata)
    damage(chunks(stores()[0], array)[2])
    n, mended = encode(adata)
    assert n == 8
    np.testing.assert_array_equal(mended, vectors)
    assert encode(adata)[0] == 0


@pytest.mark.parametrize("content", [b"", b"[]", b'{"zarr_format": 2}'])
@pytest.mark.parametrize("name", ["zarr.json", "vectors/zarr.json", "marks/zarr.json"])
def test_a_store_with_broken_metadata_is_made_anew(adata: AnnData, name: str, content: bytes) -> None:
    _, vectors = encode(adata)
    (stores()[0] / name).write_bytes(content)
    n, mended = encode(adata)
    assert n == N
    np.testing.assert_array_equal(mended, vectors)
    assert encode(adata)[0] == 0
    assert len(list(stores()[0].parent.iterdir())) == 1  # nothing is left beside


def test_folder_that_can_not_be_written_warns_and_the_result_is_there(
    adata: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    _, vectors = encode(adata, cache=False)
    monkeypatch.setattr(hs.settings, "cache_dir", tmp_path / "file" / "below")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        n, same = encode(adata)
    assert [str(w.message) for w in caught if "not cached" in str(w.message) and w.filename == cached.__file__]
    assert sum("not cached" in str(w.message) for w in caught) == 1
    assert n == N
    np.testing.assert_array_equal(same, vectors)


def test_vectors_of_another_length_under_the_same_hash_are_an_error(adata: AnnData) -> None:
    encode(adata)
    _deleted(chunks(stores()[0])[1])

    class Longer(Counting):
        def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.hstack([super().__call__(tiles)] * 2)

    before = adata.obsm[Keys.X_IMAGE].copy()
    with pytest.raises(OptionError, match=r"8 numbers a tile after 4.*sha256"):
        encode(adata, Longer())
    np.testing.assert_array_equal(adata.obsm[Keys.X_IMAGE], before)


def test_an_interrupted_run_keeps_its_chunks_and_leaves_the_anndata_as_it_was(adata: AnnData) -> None:
    class Stopped(Counting):
        def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
            if self.n_tiles >= 35:  # in the midst of a chunk
                raise KeyboardInterrupt
            return super().__call__(tiles)

    before = sorted(adata.obsm), sorted(adata.obs), sorted(adata.uns)
    with pytest.raises(KeyboardInterrupt):
        encode(adata, Stopped(), batch_size=5)
    assert (sorted(adata.obsm), sorted(adata.obs), sorted(adata.uns)) == before
    n, vectors = encode(adata, batch_size=5)
    assert n == N - 35
    np.testing.assert_array_equal(vectors, encode(adata, cache=False)[1])


def test_full_disk_warns_and_the_result_is_there(adata: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on the size of files stands for the full disk: chunks don't fit, the smaller files before them do."""
    resource = pytest.importorskip("resource")
    import signal

    _, vectors = encode(adata, cache=False)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
        with pytest.warns(UserWarning, match="not cached"):
            n, same = encode(adata)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert n == N
    np.testing.assert_array_equal(same, vectors)
    assert encode(adata)[0] == N  # nothing half written was taken for a result
    assert encode(adata)[0] == 0


def test_a_store_holds_what_was_written_to_it_and_nothing_else() -> None:
    rows = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    store = FeatureCache().store(10, {"a": 1}, np.arange(3))
    assert store.read(0) is None
    store.write(0, rows)
    found, there = FeatureCache().store(10, {"a": 1}, np.arange(3)).read(0) or (None, np.zeros(1))
    np.testing.assert_array_equal(found, rows)
    assert there.all()
    for described, array in (({"a": 2}, np.arange(3)), ({"a": 1}, np.arange(4))):
        assert FeatureCache().store(10, described, array).read(0) is None


def test_rows_are_kept_while_their_chunk_is_not_complete(adata: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a kill, which no block of ours sees."""
    monkeypatch.setattr(_feature_cache, "CHUNK_ROWS", 1024)
    with monkeypatch.context() as patched:
        patched.setattr(_collect, "KEEP_AFTER_S", 0.0)
        patched.setattr(_collect.Collector, "keep", _until(_collect.Collector.keep, times=3))
        with pytest.raises(KeyboardInterrupt):
            encode(adata, batch_size=10)
    n, vectors = encode(adata, batch_size=10)
    assert n == N - 30
    np.testing.assert_array_equal(vectors, encode(adata, cache=False)[1])
    assert encode(adata)[0] == 0


def _until(keep: Callable[[Any], None], *, times: int) -> Callable[[Any], None]:
    """Keep some times, then stop as a killed process does."""
    left = [times]

    def wrapped(self: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        keep(self)

    return wrapped


def test_vectors_that_are_nan_are_kept_like_others(adata: AnnData) -> None:
    class Undefined(Counting):
        def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.full_like(super().__call__(tiles), np.nan)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [encode(adata, Undefined())[0] for _ in range(2)] == [N, 0]


def test_a_fault_of_our_own_is_not_taken_for_a_broken_store(adata: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(adata)
    monkeypatch.setattr(_feature_cache, "_digest", lambda rows: rows + None)
    with pytest.raises(TypeError):
        encode(adata)
