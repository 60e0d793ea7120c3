"""Whether vectors are of what they are believed to be of, as far as the records tell."""

from collections.abc import Mapping

from anndata import AnnData

from .._errors import OptionError
from .._keys import Keys, LibraryKeys, Slot
from .._record import record
from .._warn import warn

# What can't stand for a modality, though it is made of numbers.
_OTHERS = {
    "image": ("tl.encode_genes", "pp.score_pathways"),
    "genes": ("tl.encode_image",),
}


def check_modalities(adata: AnnData, slots: Mapping[str, Slot | None]) -> None:
    """Refuse a slot that was made from the other modality, the positions, and one slot for two modalities."""
    named = [slot for slot in slots.values() if slot is not None]
    for modality, slot in slots.items():
        if slot is None:
            continue
        by = record(adata, slot).get("by")
        wrong = None
        if by in _OTHERS.get(modality, ()):
            wrong = f"what {by} wrote"
        elif slot == Keys.SPATIAL:
            wrong = "positions"
        elif named.count(slot) > 1:
            wrong = "a slot that stands for two modalities"
        if wrong is not None:
            field, fix = f"{slot.where}[{str(slot)!r}]", "Check image_rep= and gene_rep=."
            raise OptionError(field, found=wrong, expected=f"vectors of the {modality}", fix=fix)


def warn_if_stale(adata: AnnData, slot: Slot) -> None:
    """Warn where tiles were made anew, or another image was linked, after vectors had been made from them."""
    hashes = record(adata, slot).get("hashes", {})
    field = f"{slot.where}[{str(slot)!r}]"
    for name, made_from in hashes.items():
        kind, _, key = name.partition(".")
        if kind not in _NOW:
            continue
        now = _NOW[kind](adata, key)
        if now is not None and now != made_from:
            what = (
                f"other tiles in obsm[{key!r}] than there are"
                if kind == "boxes"
                else f"another image of section {key!r} than there is"
            )
            msg = f"{field} was made from {what} now: run hs.tl.encode_image(adata, ...) again"
            warn(msg)


def boxes_hash(adata: AnnData, key: str) -> dict[str, str]:
    """Hash of the tiles in a slot when they were written; empty where another tool wrote them."""
    found = _boxes(adata, key)
    return {} if found is None else {f"boxes.{key}": found}


def _boxes(adata: AnnData, key: str) -> str | None:
    # That of the record: it stays what it was when spots are left out.
    return record(adata, Keys.TILES.renamed(key)).get("hashes", {}).get(f"boxes.{key}")


def _image(adata: AnnData, library_id: str) -> str | None:
    entry = adata.uns.get(Keys.LIBRARIES, {}).get(library_id, {})
    return entry.get(LibraryKeys.METADATA, {}).get(LibraryKeys.SHA256)


# What vectors are made from, as it is now.
_NOW = {"boxes": _boxes, "image": _image}
