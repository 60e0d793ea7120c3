from typing import Any

import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from histoscribe._errors import OptionError
from histoscribe.metrics import recall_at_k
from histoscribe.nn import Contrastive, TrainConfig
from histoscribe.nn._data import Batch
from histoscribe.nn._fit import fit
from histoscribe.nn._seed import seeded
from histoscribe.nn.fusion._contrastive_module import ContrastiveModule

from .conftest import planted


def _module(config: Contrastive | None = None) -> ContrastiveModule:
    with seeded(0):
        return (config or Contrastive()).build({"image": 20, "genes": 15}).eval()


@pytest.fixture(scope="module")
def trained() -> ContrastiveModule:
    train, _ = planted(600)
    module = _module()
    module.start(train)
    config = TrainConfig(epochs=15, accelerator="cpu")
    fit(module, train, config, val=planted(100, seed=1)[0])
    module.finish(train)
    return module


def _without(batch: Batch, modality: str, rows: torch.Tensor) -> Batch:
    batch = {**batch, f"{modality}_valid": ~rows, modality: batch[modality].clone()}
    batch[modality][rows] = 0
    return batch


def _clusters(x: torch.Tensor, k: int) -> list[int]:
    return KMeans(k, n_init=10, random_state=0).fit_predict(x.numpy()).tolist()


@pytest.mark.weekly
def test_partners_in_new_spots_are_found(trained: ContrastiveModule) -> None:
    test, _ = planted(200, seed=2)
    image, genes = trained.embed(test, "image"), trained.embed(test, "genes")
    assert recall_at_k(image, genes, 10) > 0.6  # by chance .05
    assert recall_at_k(genes, image, 10) > 0.6
    torch.testing.assert_close(image.norm(dim=1), torch.ones(200))


def test_fused_vector_keeps_its_length_where_asked(trained: ContrastiveModule) -> None:
    test, _ = planted(50, seed=2)
    whole = _module(Contrastive(unit_length=False))
    whole.load_state_dict(trained.state_dict())
    found, unit = whole.embed(test, "both"), trained.embed(test, "both")
    assert found.norm(dim=1).std() > 0.1
    torch.testing.assert_close(torch.nn.functional.normalize(found, dim=1), unit)


def test_shuffled_pairs_teach_nothing() -> None:
    train, _ = planted(300)
    train["genes"] = train["genes"][torch.randperm(300, generator=torch.Generator().manual_seed(0))]
    module = _module()
    module.start(train)
    fit(module, train, TrainConfig(epochs=20, accelerator="cpu"))
    test, _ = planted(200, seed=2)
    assert recall_at_k(module.embed(test, "image"), module.embed(test, "genes"), 10) < 0.12


def test_fused_vector_knows_what_either_modality_knows(trained: ContrastiveModule) -> None:
    test, truth = planted(300, seed=3)
    fused = trained.embed(test, "both")
    assert adjusted_rand_score(truth["both"], _clusters(fused, 4)) > 0.9
    for name in ("image", "genes"):
        half = getattr(trained, name).half_of(test[name])
        assert adjusted_rand_score(truth["both"], _clusters(half, 4)) < 0.7


def test_spots_without_a_modality_do_not_cluster_apart(trained: ContrastiveModule) -> None:
    test, truth = planted(300, seed=4)
    absent = torch.arange(300) % 2 == 0
    fused = trained.embed(_without(test, "genes", absent), "both")
    assert abs(adjusted_rand_score(absent.numpy(), _clusters(fused, 2))) < 0.05
    assert adjusted_rand_score(truth["image"], _clusters(fused, 2)) > 0.9
    lengths = fused.norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(300))


def test_missing_half_is_predicted_not_zero(trained: ContrastiveModule) -> None:
    test, _ = planted(200, seed=5)
    absent = torch.ones(200, dtype=torch.bool)
    whole, filled = trained.embed(test, "both"), trained.embed(_without(test, "image", absent), "both")
    width = whole.shape[1] - 15
    cosine = torch.cosine_similarity(whole[:, :width], filled[:, :width])
    shuffled = torch.cosine_similarity(whole[:, :width], filled[:, :width].roll(1, 0))
    assert cosine.mean() > shuffled.mean() + 0.3


@pytest.mark.parametrize(("weight", "gone"), [(0.0, slice(0, 20)), (1.0, slice(20, 35))])
def test_image_weight_at_its_ends_leaves_one_half(batch: Batch, weight: float, gone: slice) -> None:
    module = _module(Contrastive(image_weight=weight))
    module.start(batch)
    module.finish(batch)
    fused = module.embed(batch, "both")
    assert (fused[:, gone] == 0).all()
    assert fused.abs().sum() > 0


def test_overlapping_spots_of_one_section_are_no_negatives(batch: Batch) -> None:
    module = _module()
    module.start(batch)
    apart = module.loss(batch)["loss"]
    batch["boxes"] = torch.tensor([[0.0, 0, 100, 100]]).expand(240, 4)
    assert float(module.loss(batch)["loss"].detach()) == 0  # all show the same tissue
    batch["section"] = torch.arange(240)
    torch.testing.assert_close(module.loss(batch)["loss"], apart)
    batch["section"] = torch.zeros(240, dtype=torch.int64)
    batch["boxes"] = torch.column_stack([torch.arange(240) * 91.0, torch.zeros(240), torch.full((240, 2), 100.0)])
    torch.testing.assert_close(module.loss(batch)["loss"], apart)  # 9 % is under the limit


def test_rows_without_a_modality_take_no_part_in_the_loss(batch: Batch) -> None:
    module = _module()
    module.start(batch)
    some = torch.arange(240) < 100
    cut = {name: value[some] for name, value in batch.items()}
    torch.testing.assert_close(module.loss(_without(batch, "image", ~some))["loss"], module.loss(cut)["loss"])


def test_batch_without_pairs_has_a_loss_of_zero_that_reaches_every_parameter(batch: Batch) -> None:
    module = _module()
    module.start(batch)
    loss = module.loss(_without(batch, "image", torch.ones(240, dtype=torch.bool)))["loss"]
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None for p in module.parameters())


def test_embedding_does_not_depend_on_the_other_rows(trained: ContrastiveModule) -> None:
    test, _ = planted(64, seed=6)
    alone = trained.embed({name: value[:3] for name, value in test.items()}, "both")
    torch.testing.assert_close(trained.embed(test, "both")[:3], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "option",
    [{"trunk": "lora"}, {"encoder": "uni"}, {"encoder_options": {"img_size": 64}}, {"augment": False}],
    ids=lambda option: next(iter(option)),
)
def test_options_of_pixels_are_refused_where_none_are_read(option: dict[str, Any]) -> None:
    (name,) = option
    with pytest.raises(OptionError, match=rf"Contrastive\.{name}.*mode='cached'.*Pass mode='pixels'"):
        Contrastive(**option)
    assert getattr(Contrastive(mode="pixels", **option), name) == option[name]
