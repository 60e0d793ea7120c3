"""Image vectors: the tile of each spot through an encoder."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check, is_count, is_flag
from .._keys import Keys, Slot, valid
from .._record import AnnDatas, Targets, write
from .._sections import section_mpp, sections
from .._types import check_types
from ._collect import Collector
from ._feature_cache import FeatureCache
from ._image_checks import boxes_of, check_image, check_places, check_scale, check_small, on_image
from ._image_encoder import encoder_of
from ._image_vectors import Section, Work, fill
from ._stale import boxes_hash
from ._tile_stain import check_stain

if TYPE_CHECKING:
    from ..pp import Stain

_Encoded = tuple[list[NDArray[np.float32]], list[NDArray[np.bool_]], dict[str, str]]


def encode_image(
    adata: AnnDatas,
    encoder: Any,
    *,
    pooling: str | None = None,
    batch_size: int = 64,
    num_workers: int = 0,
    device: str | None = None,
    precision: str | None = None,
    stain: "Stain | None" = None,
    cache: bool = True,
    tiles_key: str | Sequence[str] = Keys.TILES,
    library_key: str = Keys.LIBRARY_ID,
    key_added: str = Keys.X_IMAGE,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Write the image vector of each spot: its tile, read from the linked image and put through an encoder.

    Tiles are read in the order of the file, each part of it once, while the encoder works on those before.

    Vectors are kept in the folder ``features`` of ``hs.settings.cache_dir``, 4 bytes a number, 1,024 tiles a chunk. A
    run that was interrupted or killed goes on where it stopped, and a second call reads them from there: it hashes the
    image file (about a second a gigabyte) and neither decodes it nor runs the encoder. They are found again only under
    the same image, boxes, encoder, pooling, precision and stain. To clear them, delete the folder.

    Parameters
    ----------
    adata
        A section with tiles, or a list of them.
    encoder
        What :func:`hs.nn.load_encoder` takes: a name of ``hs.nn.ENCODERS``, a name of timm, ``local-dir:`` or
        ``hf-hub:`` with a place, a torch module; or an encoder object. That is called with 8-bit RGB tiles
        (k, size, size, 3) and returns vectors (k, d); it has ``name``, ``size`` (pixels), ``mpp`` (um per pixel it
        was made for) and ``sha256``, which differs wherever its numbers do.
    pooling
        How a model's tokens become the vector of a tile: ``"cls"``, ``"mean"``, ``"cls+mean"``; the model's own by
        default. ``"dense"`` is for bins, cells and other boxes that are smaller than the encoder's tile: the section
        is covered with encoder tiles side by side, each encoded once, and each box gets the mean of the patch tokens
        that it covers, weighted by area, also over the tiles' borders. Neighbours of one tile have seen the same
        surroundings and those of two tiles have not, so that some components show the tiles.
    batch_size
        Tiles that the encoder gets at a time; vectors do not depend on it but for rounding.
    num_workers
        Threads that encode; vectors do not depend on it. For encoders without weights: torch has threads of its own.
    device, precision
        Where and in which arithmetic a model runs, as :func:`hs.nn.load_encoder` takes them.
    stain
        Stain of a reference, from :func:`hs.pp.fit_stain`: each section's own stain is fitted on its image, and its
        tiles are mapped to this one before they are encoded; tiles without stain stay as they are.
    cache
        Whether to keep vectors on disk, and take them from there.
    tiles_key
        Slot with the boxes; or several, whose boxes are read together in one pass.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several.
    key_added
        Slot to write.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes ``obsm["X_image"]`` (n, d) float32 and ``obs["X_image_valid"]``, False for a spot without
    a tile or with one outside the image, whose row is zero. Of several ``tiles_key``, each one's slot ends as it does:
    ``"tiles_x3"`` gives ``obsm["X_image_x3"]``.

    Raises
    ------
    MissingError
        No tiles, or no encoder of that name.
    ImageError
        No image, or not one of 8-bit RGB, or not the one that was linked; or most tiles lie outside it.
    OptionError
        An option that the encoder can't follow, such as dense pooling of one without patch tokens or of boxes larger
        than its tile.
    ScaleError
        Dense pooling where um per pixel are not known.

    Warns
    -----
    UserWarning
        Tiles are at another scale than the encoder's, the image is too coarse for it, some tiles lie outside, or the
        cache can't be written.

    Examples
    --------
    >>> hs.pp.tile(adata)
    >>> hs.tl.encode_image(adata, "stain_stats")
    """
    check_types(encode_image, locals())
    for name, value, least in (("batch_size", batch_size, 1), ("num_workers", num_workers, 0)):
        check(name, value, is_count(value, least), f"a whole number, {least} or more")
    check("cache", cache, is_flag(cache), "True or False")
    check_stain(stain)
    slots = _slots(tiles_key, key_added)
    encoder = encoder_of(encoder, pooling=pooling, device=device, precision=precision)
    work = Work(encoder, pooling == "dense", batch_size, num_workers, stain, FeatureCache() if cache else None)
    targets = Targets(adata, copy=copy)
    boxes = [[boxes_of(one, key) for key in slots] for one in targets]
    encoded = []
    for one, box in zip(targets, boxes, strict=True):  # a loop: warnings count their way up to the user's line
        encoded.append(encode_boxes(one, box, work, library_key))
    params = _params(work, pooling)
    inputs = [*(Keys.TILES.renamed(key) for key in slots), Keys.LIBRARIES]
    for one, (vectors, ok, images) in zip(targets, encoded, strict=True):
        outputs: dict[Slot, Any] = {}
        for key, rows, good in zip(slots.values(), vectors, ok, strict=True):
            outputs |= {Keys.X_IMAGE.renamed(key): rows, valid(key): good}
        hashes = {"encoder": encoder.sha256, **images, **({} if stain is None else {"stain": stain.sha256})}
        for key in slots:
            hashes |= boxes_hash(one, key)
        write(one, outputs, by="tl.encode_image", params=params, inputs=inputs, hashes=hashes)
    return targets.result()


def _slots(tiles_key: str | Sequence[str], key_added: str) -> dict[str, str]:
    """Slot with boxes → slot to write."""
    if isinstance(tiles_key, str):
        return {tiles_key: key_added}
    keys = list(tiles_key) if isinstance(tiles_key, Sequence) else []
    ok = bool(keys) and len(set(keys)) == len(keys) and all(isinstance(key, str) for key in keys)
    check("tiles_key", tiles_key, ok, "a slot, or several that differ", fix="Name slots that hs.pp.tile wrote.")
    ends = [key.removeprefix(Keys.TILES) if key.startswith(Keys.TILES) else f"_{key}" for key in keys]
    return {key: f"{key_added}{end}" for key, end in zip(keys, ends, strict=True)}


def _params(work: Work, pooling: str | None) -> dict[str, Any]:
    encoder = work.encoder
    described = dict(getattr(encoder, "record", {}))
    return {
        **described,
        "encoder": encoder.name,
        "pooling": pooling or described.get("pooling"),
        "size": encoder.size,
        "mpp": encoder.mpp,
        "batch_size": work.batch_size,
    }


def encode_boxes(adata: AnnData, boxes: list[NDArray[np.float64]], work: Work, library_key: str) -> _Encoded:
    """Vectors of all spots of one AnnData for each slot, which of them could be made, and the hash of each image."""
    from ..io import open_image

    stacked, n = np.concatenate(boxes), adata.n_obs
    ok: NDArray[np.bool_] = np.asarray(np.isfinite(stacked).all(axis=1))
    out = Collector(len(stacked))
    hashes: dict[str, str] = {}
    for name, own in sections(adata, library_key).items():
        rows = (np.arange(len(boxes))[:, None] * n + own).ravel()  # those of the first slot, then of the next
        rows = rows[ok[rows]]
        if not len(rows):
            continue
        check_places(adata, name, rows % n, stacked[rows])
        lattice = work.lattice(section_mpp(adata, name)) if work.dense else None
        if lattice is None:
            check_scale(adata, name, [stacked[part] for part in _parts(rows, n)], work.encoder)
        else:
            check_small(adata, name, stacked[rows], lattice.step)
        with open_image(adata, library_id=name) as image:
            check_image(adata, name, image, work.encoder)
            seen = on_image(stacked[rows], image, name)
            ok[rows[~seen]] = False
            parts = _parts(rows[seen], n)
            fill(out, Section(name, image, [stacked[part] for part in parts], parts, lattice, adata), work)
            hashes[f"image.{name}"] = image.sha256
    vectors = np.split(out.vectors, len(boxes)) if len(boxes) > 1 else [out.vectors]
    return vectors, np.split(ok, len(boxes)), hashes


def _parts(rows: NDArray[np.intp], n: int) -> list[NDArray[np.intp]]:
    """Rows of each slot, of rows that count through all slots."""
    return [rows[rows // n == k] for k in np.unique(rows // n).tolist()]
