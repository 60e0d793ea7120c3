from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from histoscribe.metrics import recall_at_k
from histoscribe.nn import Model, TrainConfig, load
from histoscribe.nn._fit import fit
from histoscribe.nn.fusion._contrastive import LOSSES
from histoscribe.nn.fusion._pixel_contrastive import PixelContrastive

from .painted import SIZE, built, config, rows

QUICK: dict[str, Any] = {"batch_size": 32, "lr": 2e-3, "accelerator": "cpu", "patience": None}


def _batch(n: int = 16) -> dict[str, torch.Tensor]:
    served = rows(n, seed=3)
    return served[next(iter(served.batches(n, 0, None)))]


@pytest.mark.weekly
def test_placing_alone_learns_to_place_patches_of_pictures_it_has_not_seen() -> None:
    module = built(config(losses=("position",)))
    fit(module, rows(500, augment=True), TrainConfig(epochs=4, **QUICK))
    batch = _batch(300)
    with torch.no_grad():
        joint = module.joint(batch)  # type: ignore[operator]
    near = torch.einsum("nkd,nd->nk", F.normalize(joint["cells"], dim=-1), F.normalize(joint["part"], dim=-1))
    assert (near.argmax(dim=1) == batch["cell"]).float().mean() > 0.9  # by chance .11


@pytest.mark.weekly
def test_image_and_genes_of_new_pictures_find_each_other() -> None:
    module = built(config(losses=("patch_spot",)))
    history = fit(module, rows(200), TrainConfig(epochs=6, **QUICK), val=rows(60, seed=1))
    assert history[-1]["check_recall_10_image"] > 0.5 > history[0]["val_loss"] / 100
    batch = _batch(100)
    with torch.no_grad():
        joint = module.joint(batch)  # type: ignore[operator]
    assert recall_at_k(joint["image"], joint["genes"], 10) > 0.5  # by chance .1


@pytest.mark.parametrize("off", [None, *LOSSES])
def test_each_loss_can_be_left_out_and_each_parameter_still_has_a_gradient(off: str | None) -> None:
    kept = tuple(name for name in LOSSES if name != off)
    module = built(config(losses=kept))
    found = module.loss(_batch())  # type: ignore[operator]
    assert set(found) == {"loss", *kept}
    torch.testing.assert_close(found["loss"], sum(found[name] for name in kept))
    found["loss"].backward()
    assert all(p.grad is not None for p in module.parameters() if p.requires_grad)


@pytest.mark.weekly
def test_private_loss_keeps_what_the_genes_do_not_know() -> None:
    def explained(weight: float) -> float:
        """Share of the colours of new patches that a linear model reads off the trunk's vectors."""
        served = rows(200)
        served.tensors["genes"] = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))  # know nothing
        module: Any = built(config(losses=("patch_spot",), private_weight=weight))
        history = fit(module, served, TrainConfig(epochs=3, **QUICK))
        assert ("train_private" in history[0]) is (weight > 0)
        pictures = rows(120, seed=5).pixels.patches
        x = np.c_[module.encoder("cpu")(pictures), np.ones(120)]
        y = pictures[:, 0, 0].astype(float)
        fitted = x[:60] @ (weights := np.linalg.lstsq(x[:60], y[:60], rcond=1e-2)[0])
        assert np.isfinite(fitted).all()
        return float(1 - ((x[60:] @ weights - y[60:]) ** 2).sum() / ((y[60:] - y[60:].mean(0)) ** 2).sum())

    assert explained(10.0) > explained(0.0)


def test_regions_that_overlap_are_no_negatives_and_patches_side_by_side_are() -> None:
    batch = _batch(9)  # nine patches side by side: each region overlaps others
    apart = {
        **batch,
        "region_boxes": batch["region_boxes"] + 1e4 * torch.arange(9)[:, None] * torch.tensor([1.0, 0, 0, 0]),
    }
    for name, same in (("patch_spot", True), ("region_spot", False), ("patch_region", False)):
        module = built(config(losses=(name,)))
        values = [float(module.loss(one)["loss"].detach()) for one in (batch, apart)]  # type: ignore[operator]
        assert (values[0] == pytest.approx(values[1])) is same


@pytest.mark.parametrize("trunk", ["frozen", "lora", "full"])
def test_what_is_trained_is_what_was_asked_for(trunk: str) -> None:
    module = built(config(trunk=trunk, dropout=0.0))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    fit(module, rows(40), TrainConfig(epochs=1, **QUICK))
    moved = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    of_trunk = {name for name in moved if name.startswith("trunk.")}
    assert {"pretext", "thumbnail.weight", "position.weight", "pairs.log_scale"} <= moved
    if trunk == "frozen":
        assert not of_trunk
    elif trunk == "lora":
        assert of_trunk
        assert all("lora_" in name for name in of_trunk)
    else:
        assert len(of_trunk) == len([name for name in before if name.startswith("trunk.")])


def test_layers_learn_slower_the_nearer_they_are_to_the_pixels() -> None:
    from histoscribe.nn._training import _groups

    module: Any = built(config(trunk_rate=0.1, layer_decay=0.5))
    groups = _groups(module, TrainConfig(lr=1.0))
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    named = {name: rates[id(p)] for name, p in module.named_parameters()}
    assert len(rates) == len(list(module.parameters()))
    expected = {"patch_embed.proj.weight": 0.0125, "blocks.0.norm1.bias": 0.025, "blocks.1.mlp.fc1.weight": 0.05}
    for name, rate in (expected | {"norm.weight": 0.1}).items():
        assert named[f"trunk.network.{name}"] == pytest.approx(rate)
    assert named["thumbnail.weight"] == named["pretext"] == 1.0


@pytest.mark.parametrize("trunk", ["lora", "full"])
def test_saved_model_is_loaded_whole_and_encodes_the_same(tmp_path: Any, trunk: str) -> None:
    from histoscribe.nn.image._blueprint import blueprint, load_network

    options = config(trunk=trunk)
    said = blueprint(load_network(options.encoder, pretrained=False, options=options.encoder_options, random_state=0))
    module: Any = built(options)
    fit(module, rows(40), TrainConfig(epochs=1, **QUICK))
    model = Model(options, module, {"sizes": {"genes": 3}, "trunk": said})
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.sha256 == model.sha256
    tiles = np.random.default_rng(0).integers(0, 255, (3, SIZE, SIZE, 3), dtype=np.uint8)
    first, second = module.encoder("cpu"), again.module.encoder("cpu")
    assert first.sha256 == second.sha256 != built(options).encoder("cpu").sha256  # type: ignore[operator]
    np.testing.assert_array_equal(first(tiles), second(tiles))


def test_run_that_is_resumed_ends_with_the_same_weights(tmp_path: Any) -> None:
    def trained(epochs: int, **more: Any) -> PixelContrastive:
        module: Any = built(config())
        fit(module, rows(40, augment=True), TrainConfig(epochs=2, **QUICK, **more))
        return module

    whole = trained(2)

    class Stop(Exception):
        pass

    class Stopping(PixelContrastive):
        def loss(self, batch: Any) -> Any:
            self.steps = getattr(self, "steps", 0) + 1
            if self.steps == 3:  # two batches an epoch: in the second one
                raise Stop
            return super().loss(batch)

    module: Any = built(config())
    module.__class__ = Stopping
    with pytest.raises(Stop):
        fit(module, rows(40, augment=True), TrainConfig(epochs=2, **QUICK, checkpoint_dir=tmp_path))
    resumed = trained(2, checkpoint_dir=tmp_path, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
