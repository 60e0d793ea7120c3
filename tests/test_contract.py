"""The contract table says what the code does."""

import copy
import pickle

import pytest

import histoscribe as hs
from histoscribe._keys import Keys, slots


def test_no_two_slots_share_a_place() -> None:
    places = [(slot.where, str(slot)) for slot in slots()]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("slot", slots(), ids=lambda s: f"{s.where}.{s}")
def test_writers_are_public_functions(slot: object) -> None:
    for writer in slot.writer.split(", "):  # type: ignore[attr-defined]
        if writer in ("io", "every write"):
            continue
        part, name = writer.split(".")
        assert callable(getattr(getattr(hs, part), name))


def test_a_renamed_slot_keeps_what_is_known_of_it() -> None:
    mine = Keys.X_IMAGE.renamed("X_mine")
    assert (str(mine), mine.where, mine.writer) == ("X_mine", "obsm", Keys.X_IMAGE.writer)


def test_a_slot_is_its_key_but_two_slots_of_one_name_differ() -> None:
    assert Keys.SPATIAL == "spatial"
    assert Keys.SPATIAL != Keys.LIBRARIES
    assert len({Keys.SPATIAL: 0, Keys.LIBRARIES: 1}) == 2
    assert {"spatial": 2}[Keys.SPATIAL] == 2
    assert Keys.X_IMAGE.renamed("X_genes") == Keys.X_GENES
    assert [type(c) for c in (copy.deepcopy(Keys.TILES), pickle.loads(pickle.dumps(Keys.TILES)))] == [str, str]
