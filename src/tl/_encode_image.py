"""Image vectors: the tile of each spot through an encoder."""

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check, is_count
from .._errors import ImageError, OptionError
from .._keys import Keys, LibraryKeys, valid
from .._progress import progress
from .._record import AnnDatas, Targets, require, write
from .._sections import metadata, section_mpp, sections
from ..nn.image import ENCODERS

if TYPE_CHECKING:
    from ..io import SlideImage

_Vectors = NDArray[np.float32]
_Indexed = tuple[NDArray[np.intp], Any]
_OFF_SCALE = 1.25
_TOO_COARSE = 2.5


def encode_image(
    adata: AnnDatas,
    encoder: Any,
    *,
    batch_size: int = 64,
    num_workers: int = 0,
    tiles_key: str = Keys.TILES,
    library_key: str = Keys.LIBRARY_ID,
    key_added: str = Keys.X_IMAGE,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Write the image vector of each spot: its tile, read from the linked image and put through an encoder.

    Parameters
    ----------
    adata
        A section with tiles, or a list of them.
    encoder
        Name of one of ``hs.nn.ENCODERS``, or an object like them: called with 8-bit RGB tiles (k, size, size, 3), it
        returns vectors (k, d); it has ``name``, ``size`` (pixels), ``mpp`` (um per pixel it was made for) and
        ``sha256``.
    batch_size
        Tiles that the encoder gets at a time; vectors do not depend on it.
    num_workers
        Threads that encode; vectors do not depend on it.
    tiles_key
        Slot with the boxes.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several.
    key_added
        Slot to write.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes ``obsm["X_image"]`` (n, d) float32 and ``obs["X_image_valid"]``, False for a spot without
    a tile or with one outside the image, whose row is zero.

    Raises
    ------
    MissingError
        No tiles, or no encoder of that name.
    ImageError
        No image, or not one of 8-bit RGB, or not the one that was linked; or most tiles lie outside it.

    Warns
    -----
    UserWarning
        Tiles are at another scale than the encoder's, the image is too coarse for it, or some tiles lie outside.

    Examples
    --------
    >>> hs.pp.tile(adata)
    >>> hs.tl.encode_image(adata, "stain_stats")
    """
    for name, value, least in (("batch_size", batch_size, 1), ("num_workers", num_workers, 0)):
        check(name, value, is_count(value, least), f"a whole number, {least} or more")
    encoder = _resolve(encoder)
    targets = Targets(adata, copy=copy)
    boxes = [_boxes(one, tiles_key) for one in targets]
    encoded = []
    n_tiles = sum(int(np.isfinite(box).all(axis=1).sum()) for box in boxes)
    with progress(desc=f"encoding with {encoder.name}", total=n_tiles, unit="tile") as bar:
        for one, box in zip(targets, boxes, strict=True):
            encoded.append(_encode(one, box, encoder, library_key, batch_size, num_workers, bar.update))
    params = {"encoder": encoder.name, "size": encoder.size, "mpp": encoder.mpp, "batch_size": batch_size}
    for one, (vectors, ok, images) in zip(targets, encoded, strict=True):
        outputs = {Keys.X_IMAGE.renamed(key_added): vectors, valid(key_added): ok}
        hashes = {"encoder": encoder.sha256, **images}
        inputs = [Keys.TILES.renamed(tiles_key), Keys.LIBRARIES]
        write(one, outputs, by="tl.encode_image", params=params, inputs=inputs, hashes=hashes)
    return targets.result()


def _resolve(encoder: Any) -> Any:
    if isinstance(encoder, str):
        return ENCODERS[encoder]()
    missing = [name for name in ("name", "size", "mpp", "sha256", "__call__") if not hasattr(encoder, name)]
    if isinstance(encoder, type) or missing:
        found = f"{encoder!r}" + (f" without {missing}" if missing else "")
        fix = "See the documentation of encode_image for what an encoder object has."
        raise OptionError("encoder", found=found, expected=f"an encoder object or one of {list(ENCODERS)}", fix=fix)
    return encoder


def _boxes(adata: AnnData, tiles_key: str) -> NDArray[np.float64]:
    boxes = np.asarray(require(adata, Keys.TILES.renamed(tiles_key)), dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all(axis=1).any():
        found = f"shape {boxes.shape}, {int(np.isfinite(boxes).all(axis=-1).sum())} finite boxes"
        fix = "Run hs.pp.tile(adata)."
        raise OptionError(f"obsm[{tiles_key!r}]", found=found, expected="boxes (n, 4), some finite", fix=fix)
    return boxes


def _encode(
    adata: AnnData,
    boxes: NDArray[np.float64],
    encoder: Any,
    library_key: str,
    batch_size: int,
    num_workers: int,
    done: Callable[[int], Any],
) -> tuple[_Vectors, NDArray[np.bool_], dict[str, str]]:
    """Vectors of all spots of one AnnData, which of them could be made, and the hash of each image."""
    from ..io import open_image

    ok: NDArray[np.bool_] = np.asarray(np.isfinite(boxes).all(axis=1))
    vectors: _Vectors | None = None
    hashes = {}
    for name, own in sections(adata, library_key).items():
        rows = own[ok[own]]
        if not len(rows):
            continue
        _check_scale(adata, name, boxes[rows], encoder)
        with open_image(adata, library_id=name) as image:
            _check_image(adata, name, image, encoder)
            seen = on_image(boxes[rows], image, name)
            ok[rows[~seen]] = False
            rows = rows[seen]
            tiles = rebatch(image.read_tiles(boxes[rows], encoder.size), batch_size)
            for index, part in encode_batches(tiles, encoder, num_workers):
                if vectors is None:
                    vectors = np.zeros((adata.n_obs, part.shape[1]), dtype=np.float32)
                vectors[rows[index]] = part
                done(len(index))
            hashes[f"image.{name}"] = image.sha256
    if vectors is None:
        vectors = np.zeros((adata.n_obs, 0), dtype=np.float32)
    return vectors, ok, hashes


def _check_scale(adata: AnnData, name: str, boxes: NDArray[np.float64], encoder: Any) -> None:
    """Warn of tiles at another scale than the encoder's; where the scale is not known, nothing can be said."""
    if Keys.LIBRARIES not in adata.uns:
        return
    mpp = float(np.median(boxes[:, 2])) * section_mpp(adata, name) / encoder.size
    if max(mpp / encoder.mpp, encoder.mpp / mpp) > _OFF_SCALE:
        msg = (
            f"{LibraryKeys.MPP} of section {name!r}: tiles give {encoder.name} {mpp:.2f} um per pixel, it was made for "
            f"{encoder.mpp:g}. Run hs.pp.tile(adata, size_um={encoder.mpp * encoder.size:g}) for that scale."
        )
        warnings.warn(msg, UserWarning, stacklevel=4)


def _check_image(adata: AnnData, name: str, image: "SlideImage", encoder: Any) -> None:
    """Refuse a file that is not the one that was linked; warn of pixels too coarse for the encoder."""
    stated = metadata(adata, name) if Keys.LIBRARIES in adata.uns else {}
    linked = stated.get(LibraryKeys.SHA256)
    if linked is not None and image.source == stated.get(LibraryKeys.PATH) and linked != image.sha256:
        fix = "Link the right image with hs.io.link_image(adata, path)."
        raise ImageError(
            f"image of section {name!r}", found=f"another file at {image.source}", expected=linked, fix=fix
        )
    if image.has_mpp and image.native_mpp > _TOO_COARSE * encoder.mpp:
        msg = (
            f"image of section {name!r} has {image.native_mpp:.2f} um per pixel and {encoder.name} was made for "
            f"{encoder.mpp:g}: its tiles are enlarged, and show colour and layers but no nuclei"
        )
        warnings.warn(msg, UserWarning, stacklevel=4)


def on_image(boxes: NDArray[np.float64], image: "SlideImage", name: str) -> NDArray[np.bool_]:
    """Tiles that show any of the image; an error where most do not, a warning where some do not."""
    x, y, w, h = boxes.T
    seen = (x < image.width) & (x + w > 0) & (y < image.height) & (y + h > 0)
    found = f"{int((~seen).sum())} of {len(seen)} outside the image ({image.width} x {image.height} pixels)"
    if seen.mean() < 0.5:
        fix = "Positions and image do not belong together, or x and y are swapped: look at hs.pl.spatial(adata)."
        raise ImageError(f"tiles of section {name!r}", found=found, expected="tiles on the image", fix=fix)
    if not seen.all():
        warnings.warn(f"tiles of section {name!r}: {found}; they are flagged as not valid", UserWarning, stacklevel=4)
    return np.asarray(seen)


def rebatch(batches: Iterable[_Indexed], size: int) -> Iterator[_Indexed]:
    """Cut and join batches so that each has ``size`` rows, but for the last."""
    held: list[_Indexed] = []
    for index, batch in batches:
        held.append((index, batch))
        while sum(len(i) for i, _ in held) >= size:
            index, batch = _joined(held)
            yield index[:size], batch[:size]
            held = [(index[size:], batch[size:])]
    index, batch = _joined(held) if held else (np.empty(0, dtype=np.intp), None)
    if len(index):
        yield index, batch


def _joined(parts: list[_Indexed]) -> _Indexed:
    return np.concatenate([i for i, _ in parts]), np.concatenate([b for _, b in parts])


def encode_batches(tiles: Iterable[_Indexed], encoder: Any, num_workers: int) -> Iterator[tuple[Any, _Vectors]]:
    """Encode batches in order, in threads where asked for, never holding more than a few of them in memory."""
    if num_workers == 0:
        for index, batch in tiles:
            yield index, np.asarray(encoder(batch), dtype=np.float32)
        return
    with ThreadPoolExecutor(num_workers) as pool:
        waiting: deque[tuple[Any, Future[Any]]] = deque()
        for index, batch in tiles:
            waiting.append((index, pool.submit(encoder, batch)))
            if len(waiting) > 2 * num_workers:
                first, result = waiting.popleft()
                yield first, np.asarray(result.result(), dtype=np.float32)
        for first, result in waiting:
            yield first, np.asarray(result.result(), dtype=np.float32)
