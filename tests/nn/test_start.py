import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from histoscribe._vocabulary import FIRST_GENE, PAD
from histoscribe.nn import GeneEncoder
from histoscribe.nn.genes._start import GoTogether, linear_embedding

N_TOKENS = FIRST_GENE + 12


def _groups() -> NDArray[np.int64]:
    """Twenty groups of four: spots of two to six different genes; some absent, some groups of one spot."""
    rng = np.random.default_rng(0)
    tokens = np.full((20, 4, 6), PAD)
    for g, k in np.ndindex(20, 4):
        n = rng.integers(2, 7) if k == 0 or (g % 5 and rng.random() < 0.8) else 0
        tokens[g, k, :n] = FIRST_GENE + rng.permutation(12)[:n]
    return tokens


def _matrix_by_hand(tokens: NDArray[np.int64], context: bool) -> NDArray[np.float64]:
    b, g, _ = tokens.shape
    held = np.zeros((b, g, N_TOKENS))
    for at in np.ndindex(b, g):
        held[at][tokens[at][tokens[at] != PAD]] = 1
    there = (tokens != PAD).any(axis=2)
    share = held.sum(axis=(0, 1)) / there.sum()
    scaled = np.where(share > 0, (held - share) / np.sqrt(np.where(share > 0, share, 1)), 0) * there[..., None]
    total = np.zeros((N_TOKENS, N_TOKENS))
    for group, own in zip(scaled, there, strict=True):
        for i in np.flatnonzero(own):
            others = [group[j] for j in np.flatnonzero(own) if j != i]
            if context and others:
                total += np.outer(group[i], np.mean(others, axis=0))
            elif not context:
                total += np.outer(group[i], group[i])
    return total


@pytest.mark.parametrize("context", [False, True])
def test_products_are_those_of_the_matrix(context: bool) -> None:
    tokens = _groups()
    wanted, product = _matrix_by_hand(tokens, context), GoTogether(tokens, N_TOKENS, context=context)
    found = product(np.eye(N_TOKENS))
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    np.testing.assert_allclose(found, found.T, atol=1e-9)


@pytest.mark.parametrize("context", [False, True])
def test_vectors_span_the_leading_eigenvectors(context: bool) -> None:
    tokens = _groups()
    vectors, share = linear_embedding(tokens, N_TOKENS, 3, context=context, random_state=0)
    values, found = np.linalg.eigh(_matrix_by_hand(tokens, context))
    wanted = found[:, ::-1][:, :3] * np.sqrt(values[::-1][:3])
    plain = vectors * np.sqrt(share)[:, None]  # less the weight by rarity
    for own, other in zip(plain.T, wanted.T, strict=True):
        cosine = own @ other / np.linalg.norm(own) / np.linalg.norm(other)
        assert abs(cosine) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(
        np.linalg.norm(plain, axis=0) / np.linalg.norm(plain),
        np.linalg.norm(wanted, axis=0) / np.linalg.norm(wanted),
        rtol=1e-2,
    )
    assert (vectors[:FIRST_GENE] == 0).all()


def test_what_has_no_pattern_in_the_tissue_is_no_part_of_a_context() -> None:
    rng = np.random.default_rng(1)
    place = np.repeat(rng.integers(0, 2, 300), 6).reshape(300, 6)  # one of two genes, the same in a whole group
    alone = rng.integers(0, 2, (300, 6))  # one of two others, spot by spot
    tokens = np.stack([FIRST_GENE + place, FIRST_GENE + 2 + alone], axis=2)
    for context, pattern in ((True, [1, -1, 0, 0]), (False, None)):
        vectors, _ = linear_embedding(tokens, N_TOKENS, 2, context=context, random_state=0)
        first, second = vectors[FIRST_GENE : FIRST_GENE + 4].T
        if pattern is None:  # within a spot, one is as good as the other
            assert np.linalg.norm(second) > 0.5 * np.linalg.norm(first)
        else:
            assert abs(first @ pattern) / np.linalg.norm(first) / np.sqrt(2) > 0.99
            assert np.linalg.norm(second) < 0.3 * np.linalg.norm(first)


def test_few_spots_fill_few_columns() -> None:
    tokens = np.full((1, 3, 4), PAD)
    tokens[0, :2] = FIRST_GENE + np.array([[0, 1, 2, 3], [2, 3, 4, 5]])
    vectors, share = linear_embedding(tokens, N_TOKENS, 8, context=False, random_state=0)
    assert (vectors != 0).any(axis=0).tolist() == [True] + [False] * 7
    assert share[FIRST_GENE + 2] == 1
    assert not linear_embedding(np.zeros((1, 3, 4), dtype=int), N_TOKENS, 8, context=True, random_state=0)[0].any()


def test_a_module_that_has_started_says_so_in_its_first_vectors() -> None:
    tokens = _groups()
    module = GeneEncoder(dim=4, depth=1, heads=1, hidden=4, n_tokens=6, context="set").build({"tokens": N_TOKENS})
    module.start(torch.from_numpy(tokens), 0)
    vectors, share = linear_embedding(tokens, N_TOKENS, 4, context=True, random_state=0)
    spot = tokens[0, 0][tokens[0, 0] != PAD]
    mean = torch.from_numpy(vectors[spot].mean(axis=0))
    wanted = torch.nn.functional.layer_norm(mean, (4,))
    torch.testing.assert_close(module.embed(torch.from_numpy(spot[None]))[0], wanted)
    assert module.contextual is not None
    common = int(module.contextual.bias.argmax())
    assert share[common] == share.max()


@pytest.mark.parametrize("context", ["cgr", "set"])
def test_it_starts_surer_than_the_frequencies_alone_and_no_surer_than_it_is_right(context: str) -> None:
    rng = np.random.default_rng(0)
    half = rng.integers(0, 2, (300, 1)) ^ (rng.random((300, 4)) < 0.2)  # of the genes; a fifth stand in the wrong one
    tokens = FIRST_GENE + 6 * half[..., None] + rng.permuted(np.tile(np.arange(6), (300, 4, 1)), axis=2)[..., :3]
    config = GeneEncoder(dim=4, depth=1, heads=1, hidden=4, n_tokens=3, context=context)
    module = config.build({"tokens": N_TOKENS})
    groups = torch.from_numpy(tokens)
    batch = {"tokens": groups, "spot": torch.arange(1200).reshape(300, 4), "seed": torch.tensor([0, 0])}
    module.start(groups, 0)
    assert module.contextual is not None
    found, whole = {}, module.contextual.weight.clone()
    for factor in (0.0, 0.5, 1.0, 2.0):
        with torch.no_grad():
            module.contextual.weight.copy_(factor * whole)
            found[factor] = float(module.loss(batch)["context"])
    assert found[0.0] == pytest.approx(np.log(12), abs=0.02)
    assert min(found, key=found.__getitem__) == 1.0
    assert found[1.0] < found[0.0] - 0.1
