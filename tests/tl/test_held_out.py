import numpy as np
import pytest
from anndata import AnnData
from scipy.spatial import cKDTree

from histoscribe._keys import Keys
from histoscribe._sections import sections
from histoscribe.tl._held_out import blocks, held_out, held_out_of, patients_of
from histoscribe.tl._loaders import section_codes

from ..toys import cached_toy


def _grid(n_sections: int, side: int = 20) -> tuple[np.ndarray, np.ndarray]:
    xy = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2).astype(float)
    return np.tile(xy, (n_sections, 1)), np.repeat(np.arange(n_sections), side * side)


@pytest.mark.parametrize("n_sections", [1, 2, 4])
def test_held_out_spots_are_blocks_of_each_section(n_sections: int) -> None:
    xy, of = _grid(n_sections)
    chosen = blocks(xy.__getitem__, of, np.ones(len(xy), bool), 0.1, np.random.default_rng(0))
    for s in range(n_sections):
        own = chosen[of == s]
        assert own.sum() == pytest.approx(40, abs=3)
        _, near = cKDTree(xy[of == s]).query(xy[of == s][own], k=5)
        assert own[near].mean() > 0.7  # at random: 0.28


def test_with_five_sections_whole_ones_are_held_out() -> None:
    xy, of = _grid(5)
    chosen = held_out(xy.__getitem__, of, np.ones(len(xy), bool), 0.2, 0, patients=[None] * 5)
    assert [chosen[of == s].mean() for s in range(5)].count(1.0) == 1
    assert chosen.sum() == 400


def test_rows_that_do_not_count_and_have_no_place_are_never_held_out() -> None:
    xy, of = _grid(1)
    xy[::2] = np.nan
    rows = np.arange(400) % 3 > 0
    chosen = blocks(xy.__getitem__, of, rows, 0.4, np.random.default_rng(0))
    assert chosen.any()
    assert not chosen[~rows].any()
    assert not chosen[::2].any()


def test_held_out_spots_are_enough_for_a_loss_or_none(adata: AnnData) -> None:
    section, rows = section_codes([adata]), np.ones(225, bool)
    few = np.arange(225) < 50
    with pytest.warns(UserWarning, match="50 spots are too few to hold some out"):
        assert not held_out_of([adata], section, few, 0.2, 0).any()
    assert held_out_of([adata], section, rows, 0.01, 0).sum() == pytest.approx(16, abs=2)
    assert held_out_of([adata], section, rows, 0.2, 0).sum() == pytest.approx(45, abs=2)
    assert not held_out_of([adata], section, rows, 0, 0).any()


def test_with_five_patients_whole_ones_are_held_out() -> None:
    xy, of = _grid(11, side=5)
    patients = [*"AABBCCDDEE", None]  # whose the last section is is not known: it stays in training
    seen = set()
    for seed in range(8):
        chosen = held_out(xy.__getitem__, of, np.ones(len(xy), bool), 0.2, seed, patients=patients)
        whole = {patients[s] for s in range(11) if chosen[of == s].all()}
        assert len(whole) == 1
        assert chosen.sum() == 50
        seen |= whole
    assert len(seen) > 2
    assert None not in seen


def test_four_patients_are_too_few_and_sections_are_held_out() -> None:
    xy, of = _grid(8, side=5)
    chosen = held_out(xy.__getitem__, of, np.ones(len(xy), bool), 0.2, 0, patients=[*"AABBCCDD"])
    assert sum(chosen[of == s].all() for s in range(8)) == 2
    assert chosen.sum() == 50


def test_patients_stand_in_obs_or_in_the_metadata() -> None:
    adata = cached_toy(n_spots=40)
    by = sections(adata)
    adata.obs = adata.obs.drop(columns=[Keys.PATIENT], errors="ignore")
    metadata = next(iter(adata.uns[Keys.LIBRARIES].values()))["metadata"]
    metadata.pop("patient", None)
    assert patients_of(adata, by) == (None,)
    metadata["patient"] = 7
    assert patients_of(adata, by) == ("7",)
    adata.obs[Keys.PATIENT] = "P"
    assert patients_of(adata, by) == ("P",)
    adata.obs[Keys.PATIENT] = ["P", *[None] * 39]
    assert patients_of(adata, by) == (None,)
