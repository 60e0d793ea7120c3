"""What made the vectors of a slot, by the record."""

from collections.abc import Mapping, Sequence

from anndata import AnnData

from .._errors import OptionError
from .._keys import Slot
from .._record import record


def made_by(adatas: Sequence[AnnData], slot: Slot) -> str | None:
    """Hash of the encoder that made a slot, and of the stain that it saw; None where the slot came from elsewhere.

    Raises
    ------
    OptionError
        Sections were encoded in different ways: their vectors have nothing to do with each other.
    """
    found = {_made(record(one, slot).get("hashes", {})) for one in adatas}
    if len(found) > 1:
        fix = "Encode all sections with one encoder, and to one stain or none."
        field = f"{slot.where}[{str(slot)!r}]"
        named = f"encoders (and stains) {sorted(map(str, found))}"
        raise OptionError(field, found=named, expected="one for all sections", fix=fix)
    return found.pop()


def _made(hashes: Mapping[str, str]) -> str | None:
    encoder, stain = hashes.get("encoder"), hashes.get("stain")
    return f"{encoder} to stain {stain}" if stain is not None else encoder
