import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from histoscribe import nn
from histoscribe._errors import FileError, OptionError
from histoscribe._vocabulary import FIRST_GENE, PAD
from histoscribe.nn.genes._gene_encoder import GeneEncoder
from histoscribe.nn.genes._masking import corrupt
from histoscribe.nn.genes._token_transformer import TokenTransformer

N_TOKENS, LENGTH = 90, 12
SEED = torch.tensor([3, 1])


def _module(**options: object) -> TokenTransformer:
    torch.manual_seed(0)
    config: Any = {"n_tokens": LENGTH, "set_size": 5, "mask_fraction": 0.4, **options}
    module = GeneEncoder.tiny(**config).build({"tokens": N_TOKENS}).eval()
    with torch.no_grad():
        for parameter in module.parameters():  # new blocks add nothing, and would hide their faults
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


def _batch() -> dict[str, Tensor]:
    """Three groups of four: a spot is absent, one is empty, one group is a spot alone, lengths differ."""
    rng = torch.Generator().manual_seed(1)
    tokens = torch.randint(FIRST_GENE, N_TOKENS, (3, 4, LENGTH), generator=rng)
    for g, k, length in ((0, 1, 5), (0, 2, 9), (0, 3, 0), (1, 0, 4), (1, 1, 7), (2, 1, 0), (2, 2, 0), (2, 3, 0)):
        tokens[g, k, length:] = PAD
    return {"tokens": tokens, "spot": torch.arange(12).view(3, 4), "seed": SEED}


def _hidden(module: TokenTransformer, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    tokens, spots = batch["tokens"].flatten(0, 1), batch["spot"].flatten()
    fraction = module.config.mask_fraction
    hidden, chosen = corrupt(tokens, spots, fraction=fraction, n_tokens=N_TOKENS, seed=SEED.tolist())
    return hidden.view(3, 4, -1), chosen.view(3, 4, -1)


def _states(module: TokenTransformer, batch: dict[str, Tensor], g: int, k: int) -> Tensor:
    """States of one spot, read alone and without padding."""
    length = int((batch["tokens"][g, k] != PAD).sum())
    return module(_hidden(module, batch)[0][g, k, :length][None])[0]


def _surprise(head: torch.nn.Linear | None, state: Tensor, gene: Tensor) -> Tensor:
    assert head is not None
    return -head(state).log_softmax(-1)[gene]


def _vector(module: TokenTransformer, states: Tensor) -> Tensor:
    return module.norm(states.mean(0))


def test_hidden_genes_by_hand() -> None:
    module, batch = _module(context=None), _batch()
    chosen, losses = _hidden(module, batch)[1], []
    for g in range(3):
        for k in range(4):
            if (batch["tokens"][g, k] != PAD).any():
                states = _states(module, batch, g, k)
                places = torch.nonzero(chosen[g, k]).flatten()
                losses += [
                    _surprise(module.intrinsic, module.norm(states[j]), batch["tokens"][g, k, j]) for j in places
                ]
    torch.testing.assert_close(module.loss(batch)["igr"], torch.stack(losses).mean())


def test_centre_from_the_neighbours_rank_by_rank_by_hand() -> None:
    module, batch, losses = _module(context="cgr"), _batch(), []
    for g in range(3):
        around = [_states(module, batch, g, k) for k in (1, 2, 3) if (batch["tokens"][g, k] != PAD).any()]
        for j, gene in enumerate(batch["tokens"][g, 0]):
            seen = [states[j] for states in around if j < len(states)]
            if gene != PAD and seen:
                losses.append(_surprise(module.contextual, _vector(module, torch.stack(seen)), gene))
    found = module.loss(batch)
    torch.testing.assert_close(found["context"], torch.stack(losses).mean())
    torch.testing.assert_close(found["loss"], found["igr"] + found["context"])


@pytest.mark.parametrize("overlap", [False, True])
def test_each_spot_as_a_set_by_hand(overlap: bool) -> None:
    module, batch, losses = _module(context="set", overlap=overlap), _batch(), []
    for g in range(3):
        there = [k for k in range(4) if (batch["tokens"][g, k] != PAD).any()]
        for asked in [k for k in there if k == 0 or not overlap]:  # where groups overlap, each is once a centre
            around = [_vector(module, _states(module, batch, g, k)) for k in there if k != asked]
            if around:
                genes = [gene for gene in batch["tokens"][g, asked, :5] if gene != PAD]
                losses += [_surprise(module.contextual, torch.stack(around).mean(0), gene) for gene in genes]
    torch.testing.assert_close(module.loss(batch)["context"], torch.stack(losses).mean())


@pytest.mark.parametrize("context", ["cgr", "set"])
def test_spots_alone_have_no_context(context: str) -> None:
    module, batch = _module(context=context), _batch()
    batch["tokens"][:, 1:] = PAD
    losses = module.loss(batch)
    assert losses["context"] == 0
    losses["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_the_first_epochs_learn_from_the_spot_itself() -> None:
    module, batch = _module(context="cgr", intrinsic_share=0.5).train(), _batch()
    seen = []
    for epoch in range(4):
        module.begin_epoch(epoch, 4)
        losses = module.loss(batch)
        losses["loss"].backward()
        seen.append("context" in losses)
    assert seen == [False, False, True, True]
    assert all(p.grad is not None for p in module.parameters())
    module.begin_epoch(0, 4)
    assert "context" in module.eval().loss(batch)  # so that validation losses compare


def test_a_vector_is_the_mean_of_the_genes_states() -> None:
    module, tokens = _module(), _batch()["tokens"].flatten(0, 1)
    vectors = module.embed(tokens)
    for row, vector in zip(tokens, vectors, strict=True):
        real = row[row != PAD]
        wanted = _vector(module, module(real[None])[0]) if len(real) else torch.zeros(64)
        torch.testing.assert_close(vector, wanted)


def test_order_of_genes_matters_and_padding_does_not() -> None:
    module, tokens = _module(), _batch()["tokens"][0, :1]
    longer = torch.cat([tokens[:, :6], torch.full((1, 6), PAD)], dim=1)
    torch.testing.assert_close(module.embed(longer), module.embed(tokens[:, :6]))
    assert not torch.allclose(module.embed(tokens.flip(1)), module.embed(tokens))


@pytest.mark.parametrize(
    "wrong",
    [
        {"dim": 0},
        {"heads": 5},
        {"context": "ring"},
        {"mask_fraction": 0},
        {"intrinsic_share": 2},
        {"dropout": 1.0},
        {"set_size": -1},
        {"start": "warm"},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=f"GeneEncoder.{next(iter(wrong))}"):
        GeneEncoder.tiny(**wrong)


def test_it_is_saved_and_loaded(tmp_path: object) -> None:
    model = nn.Model.new(GeneEncoder.tiny(n_tokens=LENGTH), {"sizes": {"tokens": N_TOKENS}})
    model.save(f"{tmp_path}/encoder")
    again = nn.load(f"{tmp_path}/encoder")
    tokens = _batch()["tokens"][0]
    assert torch.equal(again.module.embed(tokens), model.module.embed(tokens))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"tokens": N_TOKENS + 7}, r"tokens\.weight \(97, 64\) for \(90, 64\)"),
        ({"n_tokens": LENGTH + 3}, r"ranks \(15, 64\) for \(12, 64\)"),
        ({"context": None}, r"contextual\.weight missing"),
    ],
)
def test_weights_of_another_vocabulary_or_size_are_named(tmp_path: Path, other: dict[str, Any], says: str) -> None:
    sizes = {"tokens": other.pop("tokens", N_TOKENS)}
    nn.Model.new(GeneEncoder.tiny(n_tokens=LENGTH), {"sizes": {"tokens": N_TOKENS}}).save(tmp_path / "own")
    nn.Model.new(GeneEncoder.tiny(**{"n_tokens": LENGTH, **other}), {"sizes": sizes}).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", tmp_path / "own")
    with pytest.raises(FileError, match=says):
        nn.load(tmp_path / "own")
