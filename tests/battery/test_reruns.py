"""A cell that is run twice leaves the same object; so does one that was run with other options in between."""

from typing import Any

import histoscribe as hs

from ..digest import digest
from . import material
from .applied import applied
from .call import Call
from .outcome import apart, outcome, usual

# An option of each writer to change, and change back.
OTHER: dict[str, dict[str, Any]] = {
    "io.link_image": {"mpp": 1.9},
    "pp.align_affine": {"matrix": [[1, 0, 9], [0, 1, 9], [0, 0, 1]]},
    "pp.check_registration": {"random_state": 1},
    "pl.tiles": {"n": 2},
    "pp.score_pathways": {"min_genes": 3},
    "pp.spatial_graph": {"n_neighbors": 4},
    "pp.tile": {"size_um": 80.0},
    "pp.tissue_mask": {"max_size": 500},
    "pp.tokenize_genes": {"n_tokens": 40},
    "tl.domains_gmm": {"n_domains": 4},
    "tl.domains_leiden": {"resolution": 0.5},
    "tl.embed": {"modality": "image"},
    "tl.encode_genes": {"layer": "counts"},
    "tl.encode_image": {"encoder": "stain_stats"},
    "tl.fuse": {"config": hs.nn.Contrastive(dim=8)},
    "pl.panels": {"size": 0.5},
    "pl.spatial": {"size": 0.5},
}


@applied("second run")
def test_second_run_gives_identical_bytes(call: Call) -> None:
    adata = material.section()
    if call.section is not None:
        call(adata)
    state = digest(adata)
    assert apart(outcome(call, adata), usual(call)).absolute == 0
    assert digest(adata) == state


@applied("changed and changed back", lambda call: call.writes)
def test_option_changed_and_changed_back_gives_identical_bytes(call: Call) -> None:
    adata = material.section()
    outcome(call, adata)
    state = digest(adata)
    outcome(call, adata, **OTHER[call.name])
    if not call.name.startswith("pl."):
        assert digest(adata) != state
    outcome(call, adata)
    assert digest(adata) == state


@applied("copy", lambda call: call.copies)
def test_copy_leaves_the_original_and_equals_in_place(call: Call) -> None:
    adata = material.section()
    before = digest(adata)
    copied = call(adata, copy=True)
    assert digest(adata) == before
    call(adata)
    assert digest(copied) == digest(adata)
    shared = [a for a in (copied.X, copied.layers["counts"]) for b in (adata.X, adata.layers["counts"]) if a is b]
    assert not shared


@applied("lists", lambda call: call.many and call.copies)
def test_list_of_sections_is_each_of_them(call: Call) -> None:
    both = [material.section(), material.others()[0]]
    apart_ = [one.copy() for one in both]
    given = {**call.arguments(both[0]), "adata": both}
    returned = call.function(**given)
    assert returned is None
    if call.name.startswith("tl.domains"):  # sections are clustered together
        return
    for one in apart_:
        call(one)
    assert [digest(one) for one in both] == [digest(one) for one in apart_]


@applied("left alone", lambda call: call.writes)
def test_what_is_not_written_is_left_alone(call: Call) -> None:
    adata = material.section()
    places = ("layers", "obs", "obsm", "obsp", "uns", "var", "varm")
    before = {(where, key): digest(value) for where in places for key, value in getattr(adata, where).items()}
    x = digest(adata.X)
    call(adata)
    assert digest(adata.X) == x
    record = adata.uns["histoscribe"]
    own = {tuple(slot.split(".", 1)) for slot, entry in record.items() if entry["by"] == call.name}
    own |= {("uns", "histoscribe")} | {("uns", key) for key in adata.uns if key.endswith("_colors")}
    assert {place for place, was in before.items() if digest(getattr(adata, place[0])[place[1]]) != was} <= own
