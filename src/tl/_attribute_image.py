"""The tile of one spot, and the encoder that made its vector."""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import OptionError
from .._keys import Keys, Slot, valid
from .._record import has, record
from .._sections import sections
from ..nn import Model
from ..nn.image._squares import Squares
from ._image_checks import boxes_of, check_image
from ._image_encoder import encoder_of
from ._image_vectors import read_as_fine

_SAID = ("encoder", "size", "mpp", "pooling", "precision", "weights_sha256", "recipe", "version")


class Place(NamedTuple):
    """A spot: its name, its row, and the section that it is of."""

    spot: str
    row: int
    section: str


def encoder_for(adata: AnnData, model: Model, slot: Slot | None, encoder: Any, device: str | None) -> Any:
    """Return the encoder of a model's tiles: its own, or the one that made ``slot``, which the user names.

    Raises
    ------
    OptionError
        None is named where one is needed, another one than in training, or one that alone does not give the slot.
    """
    if slot is None:
        if encoder is not None:
            fix = "Leave it out."
            expected = "None: a model that learned from pixels has its own"
            raise OptionError("encoder", found=repr(encoder)[:80], expected=expected, fix=fix)
        return model.module.encoder(device)
    said = record(adata, slot)
    made, field = said.get("params", {}), f"{slot.where}[{str(slot)!r}]"
    _check_plain(said, field)
    if encoder is None:
        name = made.get("encoder")
        fix = f"Pass encoder={name!r}, or the encoder itself." if name else "Pass the encoder."
        raise OptionError("encoder", found="None", expected=f"the encoder that made {field}", fix=fix)
    named = isinstance(encoder, str)
    how = {key: made.get(key) if named else None for key in ("pooling", "precision")}
    loaded = encoder_of(encoder, device=device, **how)
    trained = model.meta["encoders"]["image"]
    if trained and loaded.sha256 != trained:
        found = f"{loaded.name} ({loaded.sha256[:12]}){_differing(loaded, made)}"
        expected = f"the encoder of training, {made.get('encoder', '')} ({trained[:12]})".replace("  ", " ")
        raise OptionError("encoder", found=found, expected=expected, fix=f"Pass the one that made {field}.")
    return loaded


def _check_plain(said: Mapping[str, Any], field: str) -> None:
    """Refuse vectors that the encoder alone does not make of a tile."""
    fix = "Fuse with vectors of the tiles as they are: hs.tl.encode_image(adata, encoder)."
    if "stain" in said.get("hashes", {}):
        found = "vectors of tiles that were mapped to another stain"
        raise OptionError(field, found=found, expected="vectors of the tiles as they are", fix=fix)
    if said.get("params", {}).get("pooling") == "dense":
        found = "means of patch tokens (pooling='dense')"
        raise OptionError(field, found=found, expected="a vector of each tile", fix=fix)


def _differing(loaded: Any, made: Mapping[str, Any]) -> str:
    """Say in what an encoder differs from the one that is recorded."""
    own = {**dict(getattr(loaded, "record", {})), "encoder": loaded.name, "size": loaded.size, "mpp": loaded.mpp}
    apart = [
        f"{name} {str(own[name])[:12]} instead of {str(made[name])[:12]}"
        for name in _SAID
        if name in own and name in made and own[name] != made[name]
    ]
    return f" with {', '.join(apart)}" if apart else ""


def squares_of(adata: AnnData, place: Place, encoder: Any, *, tiles: Slot, library_key: str, n_patches: int) -> Squares:
    """Cut a spot's tile into squares, as the encoder reads it.

    Raises
    ------
    OptionError
        It has no tile on the image, or a tile of fewer pixels than squares.
    """
    if n_patches > encoder.size:
        found, fix = f"{n_patches} for {encoder.name}", "Pass fewer."
        raise OptionError("n_patches", found=found, expected=f"at most {encoder.size}, its pixels a side", fix=fix)
    return Squares(encoder, _tile(adata, place, encoder, tiles, library_key), n_patches)


def tiles_slot(adata: AnnData, model: Model, vectors: Slot | None, tiles_key: str | None) -> Slot:
    """Slot with the tiles: the one named, or that of training, or the one whose vectors a slot holds by its record."""
    if tiles_key is not None or vectors is None:
        return Keys.TILES.renamed(tiles_key or model.meta["tiles"])
    inputs = [key.removeprefix("obsm.") for key in record(adata, vectors).get("inputs", []) if key.startswith("obsm.")]
    ends = {key: key.removeprefix(Keys.TILES) if key.startswith(Keys.TILES) else f"_{key}" for key in inputs}
    fitting = [key for key in inputs if vectors.endswith(ends[key])]
    alone = inputs if len(inputs) == 1 else []
    return Keys.TILES.renamed(max(fitting or alone, key=lambda key: len(ends[key]), default=str(Keys.TILES)))


def _tile(adata: AnnData, place: Place, encoder: Any, slot: Slot, library_key: str) -> NDArray[np.uint8]:
    from ..io import open_image

    boxes = boxes_of(adata, slot)
    box, rows = boxes[place.row], sections(adata, library_key)[place.section]
    flagged = has(adata, valid(slot)) and not adata.obs[valid(slot)].to_numpy(dtype=bool)[place.row]
    if flagged or not np.isfinite(box).all():
        raise _without(place, f"no tile in obsm[{str(slot)!r}]")
    sides = boxes[rows][np.isfinite(boxes[rows]).all(axis=1), 2:].min(axis=0)
    with open_image(adata, library_id=place.section) as image:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"image of section .* um per pixel")  # said when vectors were made
            check_image(adata, place.section, image, encoder)
        x, y, w, h = box
        if not (x < image.width and x + w > 0 and y < image.height and y + h > 0):
            raise _without(place, "a tile outside the image")
        (tile,) = (one for _, batch in read_as_fine(image, box[None], encoder.size, sides) for one in batch)
    return np.asarray(tile)


def _without(place: Place, found: str) -> OptionError:
    fix = "Take a spot with both."
    return OptionError("spot", found=f"{place.spot!r} with {found}", expected="one with an image and genes", fix=fix)
