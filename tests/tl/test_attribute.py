"""Attribution against explicit loops, finite differences and planted truths."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy.stats import spearmanr
from torch import Tensor

import histoscribe as hs
from histoscribe._errors import GenesError, MissingError, OptionError
from histoscribe.nn import Contrastive, GeneEncoder, Model, TrainConfig
from histoscribe.nn._redrawn import redrawn
from histoscribe.nn._seed import seeded
from histoscribe.nn.fusion._gene_parts import TokenParts
from histoscribe.nn.fusion._joint import Joint
from histoscribe.nn.image._squares import Squares

from ..digest import digest
from ..toys import cached_toy

SIZE = 32
Rank = Literal["mean", "section"]
# Encoders of three or six numbers leave random weights little to say.
pytestmark = pytest.mark.filterwarnings("ignore:attribution is much like that of random weights")


@dataclass
class Left:
    """Mean and deviation of the colours of the left half of a tile."""

    name: str = "left"
    size: int = SIZE
    mpp: float = 4.0
    sha256: str = "1" * 64

    def __call__(self, tiles: Any) -> np.ndarray:
        half = tiles[:, :, : self.size // 2].astype(np.float64) / 255
        return np.concatenate([half.mean(axis=(1, 2)), half.std(axis=(1, 2))], axis=1)


class Shades(Left):
    """Deciles of the shades of grey of a tile: nuclei are dark."""

    def __call__(self, tiles: Any) -> np.ndarray:
        grey = tiles.mean(axis=3).reshape(len(tiles), -1)
        return np.quantile(grey, np.linspace(0, 1, 11), axis=1).T


@dataclass
class Held:
    """A section, and the models that were fitted on it."""

    adata: AnnData
    pca: Model
    model: Model
    encoder: Any = None

    @property
    def spot(self) -> str:
        return str(self.adata.obs_names[7])

    def attributed(self, **options: Any) -> Any:
        given = {"encoder": self.encoder, "gene_model": self.pca, "n_patches": 4, **options}
        return hs.tl.attribute(self.adata, self.model, self.spot, **given)

    def head(self, name: str, x: Any) -> np.ndarray:
        """A head by hand: scale, layers and length one, in float64."""
        pairs = getattr(self.model.module, "pairs", self.model.module)
        branch = getattr(pairs, name)
        z = (np.atleast_2d(np.asarray(x, dtype=np.float64)) - branch.scale.mean.numpy()) / branch.scale.scale.numpy()
        z = torch.from_numpy(z).float()
        with torch.no_grad():
            z = branch.head(z).double()
        return (z / z.norm(dim=1, keepdim=True)).numpy()


def _section() -> AnnData:
    adata: AnnData = cached_toy(n_spots=60, n_genes=200)
    hs.pp.tile(adata, size_um=SIZE * 4.0)
    return adata


def _pca_of(adata: AnnData, n_known: int | None = None) -> Model:
    """Components; with ``n_known``, of the first genes alone."""
    model = hs.tl.fit_pca(adata, n_comps=8)
    if n_known is not None:
        model.module.components[:, n_known:] = 0
    hs.tl.encode_genes(adata, model)
    return model


QUICK = TrainConfig(epochs=5, val_fraction=0, accelerator="cpu")


@cache
def _cached() -> Held:
    adata = _section()
    pca = _pca_of(adata, n_known=20)
    hs.tl.encode_image(adata, Left(), cache=False)
    return Held(adata, pca, hs.tl.fuse(adata, Contrastive(dim=16, hidden=32), train=QUICK), Left())


@cache
def _pixels() -> Held:
    """A model that learned from pixels; it has its own encoder."""
    adata = _section()
    pca = _pca_of(adata)
    options = {"img_size": SIZE, "patch_size": 8, "depth": 2, "embed_dim": 24, "num_heads": 2}
    config = Contrastive(
        mode="pixels",
        encoder="vit_tiny_patch16_224",
        pretrained=False,
        encoder_options=options,
        trunk="full",
        trunk_rate=1.0,
        layer_decay=1.0,
        dim=16,
        hidden=32,
        losses=("patch_spot",),
    )
    return Held(adata, pca, hs.tl.fuse(adata, config, train=replace(QUICK, epochs=2, batch_size=30)))


@cache
def _tokens(rank: Rank = "mean") -> Held:
    """A fusion model on the vectors of a gene encoder as it starts."""
    held = _cached()
    adata = held.adata.copy()
    config = GeneEncoder(dim=16, depth=1, heads=2, hidden=16, n_tokens=40)
    vocabulary = hs.pp.fit_vocabulary(adata)
    genes = hs.tl.pretrain_genes(
        adata, config, vocabulary=vocabulary, rank=rank, train=TrainConfig(epochs=0, val_fraction=0)
    )
    with torch.no_grad():
        for p in genes.module.blocks.parameters():  # they start as nothing
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    hs.tl.encode_genes(adata, genes)
    return Held(adata, genes, hs.tl.fuse(adata, Contrastive(dim=16, hidden=32), train=QUICK), Left())


# pixels


def test_a_half_that_the_encoder_does_not_see_has_exactly_nothing() -> None:
    found = _cached().attributed(n_patches=8)
    assert found.pixels.shape == (8, 8)
    assert (found.pixels[:, 4:] == 0).all()
    assert (found.pixels_random[:, 4:] == 0).all()
    assert (found.pixels[:, :4] != 0).mean() > 0.9


@pytest.mark.parametrize("n", [4, 5])
@pytest.mark.parametrize("held", [_cached, _pixels])
def test_occlusion_of_squares_is_that_of_a_loop(held: Any, n: int) -> None:
    held = held()
    found = held.attributed(n_patches=n)
    encoder = held.encoder or held.model.module.encoder("cpu")
    genes = held.head("genes", held.adata.obsm["X_genes"][7])
    ends = [round(k * SIZE / n) for k in range(n + 1)]

    def cosine(tile: np.ndarray) -> float:
        return float((held.head("image", encoder(tile[None])) * genes).sum())

    wanted = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            tile = found.tile.copy()
            tile[ends[i] : ends[i + 1], ends[j] : ends[j + 1]] = np.rint(found.tile.mean(axis=(0, 1)))
            wanted[i, j] = cosine(found.tile) - cosine(tile)
    np.testing.assert_allclose(found.pixels, wanted, atol=2e-6)
    assert found.cosine == pytest.approx(cosine(found.tile), abs=1e-6)


@pytest.mark.weekly
def test_cosine_is_that_of_the_written_vectors() -> None:
    for held in (_cached(), _pixels(), _tokens(), _tokens("section")):
        rows = held.adata.obsm["X_fused_image"][7], held.adata.obsm["X_fused_genes"][7]
        assert held.attributed().cosine == pytest.approx(float(np.dot(*rows)), abs=1e-4)


def test_gradient_of_squares_is_a_finite_difference() -> None:
    held = _pixels()
    found = held.attributed(method="gradient", n_patches=4)
    encoder, joint = held.model.module.encoder("cpu"), Joint(held.model.module)
    x, pixels = torch.from_numpy(held.adata.obsm["X_genes"][7])[None], encoder.pixels(found.tile[None])
    away = pixels - pixels.mean(dim=(2, 3), keepdim=True)
    for i, j in [(0, 0), (1, 2), (3, 3)]:
        square = torch.zeros_like(pixels)
        square[:, :, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8] = 0.1
        with torch.no_grad():
            up, down = (joint.cosine(encoder.embed(pixels + s * square * away), x).item() for s in (1, -1))
        assert found.pixels[i, j] == pytest.approx((up - down) / 0.2, rel=0.03, abs=2e-6)


def test_gradient_passes_any_network_that_made_the_vectors() -> None:
    import timm

    adata = _section()
    pca = _pca_of(adata)
    with seeded(0):
        network = timm.create_model("test_vit", num_classes=0, img_size=SIZE)
    encoder = hs.nn.load_encoder(network, size=SIZE, mpp=4.0, device="cpu")
    hs.tl.encode_image(adata, encoder, cache=False)
    held = Held(adata, pca, hs.tl.fuse(adata, Contrastive(dim=16), train=QUICK), encoder)
    gradient, occlusion = (held.attributed(method=method) for method in ("gradient", "occlusion"))
    assert spearmanr(gradient.pixels.ravel(), occlusion.pixels.ravel()).statistic > 0.5
    assert gradient.cosine == occlusion.cosine


def test_squares_cover_the_tile_once() -> None:
    class Sums:
        def pixels(self, tiles: Any) -> Tensor:
            return torch.from_numpy(tiles).permute(0, 3, 1, 2).double()

        def embed(self, pixels: Tensor) -> Tensor:
            return (pixels**2).sum(dim=(2, 3))

    tile = np.random.default_rng(0).integers(0, 255, (29, 31, 3), dtype=np.uint8)
    slopes = Squares(Sums(), tile, 6).slopes(lambda v: v.sum(dim=1))
    x = tile.astype(float)
    assert slopes.sum().item() == pytest.approx((2 * x * (x - x.mean(axis=(0, 1)))).sum())


# genes


@pytest.mark.parametrize(("held", "method"), [(_cached, "occlusion"), (_pixels, "occlusion"), (_pixels, "gradient")])
def test_genes_that_the_components_leave_out_have_exactly_nothing(held: Any, method: str) -> None:
    held = held()
    model = held.attributed(method=method).genes
    weights = np.abs(held.pca.module.components.numpy()).sum(axis=0)
    unknown = [gene for gene, weight in zip(held.pca.meta["genes"], weights, strict=True) if weight == 0]
    assert (model[unknown] == 0).all()
    assert (model.drop(unknown) != 0).mean() > 0.9
    assert len(model) == 200
    assert model.index.name == "gene"
    assert (np.diff(model.abs()) <= 0).all()


def _expression(held: Held) -> np.ndarray:
    counts = held.adata.layers["counts"][7].toarray()[0].astype(float)
    return np.log1p(counts / counts.sum() * 1e4)


def test_occlusion_of_genes_is_that_of_a_loop() -> None:
    held = _cached()
    found, g = held.attributed(), _expression(held)
    mean, components = (getattr(held.pca.module, name).double().numpy() for name in ("mean", "components"))
    image = held.head("image", Left()(found.tile[None]).astype(np.float32))
    whole = (held.head("genes", (g - mean) @ components.T) * image).sum()
    for k, gene in enumerate(held.pca.meta["genes"][:25]):
        less = g.copy()
        less[k] = mean[k]
        drop = whole - (held.head("genes", (less - mean) @ components.T) * image).sum()
        assert found.genes[gene] == pytest.approx(drop, abs=2e-6), gene


def test_gradient_of_genes_is_a_finite_difference_and_sums_to_that_of_all() -> None:
    held = _pixels()
    found, joint = held.attributed(method="gradient"), Joint(held.model.module)
    v, x = Squares(held.model.module.encoder("cpu"), found.tile, 4).whole[None], held.adata.obsm["X_genes"][7]
    mean, components = (getattr(held.pca.module, name).double().numpy() for name in ("mean", "components"))
    parts = components * (_expression(held) - mean)  # d g
    np.testing.assert_allclose(parts.sum(axis=1), x, atol=1e-4)

    def cosine(vector: np.ndarray) -> float:
        return joint.cosine(v, torch.from_numpy(vector)[None]).item()

    for k in range(0, 200, 23):
        slope = (cosine(x + 1e-4 * parts[:, k]) - cosine(x - 1e-4 * parts[:, k])) / 2e-4
        assert found.genes[held.pca.meta["genes"][k]] == pytest.approx(slope, rel=1e-3, abs=1e-8)
    along = (cosine(x * (1 + 1e-4)) - cosine(x * (1 - 1e-4))) / 2e-4
    assert found.genes.sum() == pytest.approx(along, rel=1e-3, abs=1e-6)


def test_columns_stand_in_for_genes_where_nobody_gives_the_gene_model() -> None:
    held = _cached()
    found = held.attributed(gene_model=None)
    x, mean = held.adata.obsm["X_genes"][7], held.model.module.genes.scale.mean.numpy()
    image = held.head("image", Left()(found.tile[None]).astype(np.float32))
    assert found.genes.index.name == "column of X_genes"
    assert sorted(found.genes.index) == [f"X_genes[{k}]" for k in range(8)]
    for k in range(8):
        less = x.copy()
        less[k] = mean[k]
        drop = ((held.head("genes", x) - held.head("genes", less)) * image).sum()
        assert found.genes[f"X_genes[{k}]"] == pytest.approx(drop, abs=2e-6)


@pytest.mark.parametrize("rank", ["mean", "section"])
def test_removal_of_tokens_is_that_of_a_loop(rank: Rank) -> None:
    held = _tokens(rank)
    found = held.attributed()
    one, vocabulary = held.adata.copy(), hs.pp.Vocabulary.from_json(held.pca.meta["vocabulary"])
    hs.pp.tokenize_genes(one, vocabulary, n_tokens=40, rank=rank)
    tokens = one.obsm["gene_tokens"][7].astype(np.int64)
    tokens = tokens[tokens != 0]
    assert set(found.genes.index) == set(vocabulary.decode(tokens))
    embed, x = held.pca.module.embed, held.adata.obsm["X_genes"][7]
    image = held.head("image", Left()(found.tile[None]).astype(np.float32))
    with torch.no_grad():
        whole = embed(torch.from_numpy(tokens)[None]).numpy()
        for k, gene in enumerate(vocabulary.decode(tokens)):
            less = embed(torch.from_numpy(np.delete(tokens, k))[None]).numpy() - whole + x
            drop = ((held.head("genes", x) - held.head("genes", less)) * image).sum()
            assert found.genes[gene] == pytest.approx(drop, abs=5e-6), gene


def test_gradient_of_tokens_is_a_finite_difference() -> None:
    held = _tokens()
    module = held.pca.module
    tokens, direction = torch.tensor([45, 33, 60, 52, 31]), torch.randn(16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        vector = module.embed(tokens[None])[0]
    parts = TokenParts(module, tokens, vector)
    found = parts.slopes(lambda x: x @ direction.double())
    for token, slope in zip(tokens, found, strict=True):
        row, sides = module.tokens.weight[token].detach().clone(), []
        for step in (1.02, 0.98):
            with torch.no_grad():
                module.tokens.weight[token] = step * row
                sides.append((module.embed(tokens[None])[0] @ direction).item())
                module.tokens.weight[token] = row
        assert slope.item() == pytest.approx((sides[0] - sides[1]) / 0.04, rel=0.02, abs=1e-4)


def test_only_the_first_tokens_are_removed_and_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _tokens().pca.module
    monkeypatch.setattr("histoscribe.nn.fusion._gene_parts.MOST_REMOVED", 3)
    parts = TokenParts(module, torch.tensor([45, 33, 60, 52, 31]), torch.zeros(16))
    assert parts.without.shape == (3, 16)
    alone = TokenParts(module, torch.tensor([45]), torch.zeros(16))
    assert alone.without.shape == (0, 16)


def test_genes_of_the_planted_link_come_first() -> None:
    plant = hs.datasets.Plant(n_domains=1, n_links=1)
    adata = cached_toy(n_spots=200, n_genes=300, plant=plant)
    hs.pp.tile(adata)
    encoder = Shades("shades", size=56, mpp=2.0)
    hs.tl.encode_image(adata, encoder, cache=False)
    pca = hs.tl.fit_pca(adata, n_comps=20)
    hs.tl.encode_genes(adata, pca)
    train = TrainConfig(epochs=40, batch_size=100, accelerator="cpu", val_fraction=0)
    held = Held(adata, pca, hs.tl.fuse(adata, Contrastive(dim=32, hidden=64), train=train), encoder)
    found = [
        hs.tl.attribute(adata, held.model, spot, encoder=encoder, gene_model=pca, n_patches=1)
        for spot in adata.obs_names[::20]
    ]
    genes, random = (sum(getattr(one, name).sort_index() for one in found) for name in ("genes", "genes_random"))
    linked = list(adata.uns["truth"]["gene_sets"]["LINK_0"])
    others = genes.index.difference(linked)
    assert genes[linked].mean() > 3 * np.abs(genes[others]).mean()
    assert len(set(genes.nlargest(12).index) & set(linked)) >= 6
    assert len(set(random.nlargest(12).index) & set(linked)) <= 3


# random weights


@pytest.mark.parametrize("held", [_cached, _pixels])
def test_random_weights_give_another_map_and_another_seed_another_one(held: Any) -> None:
    held = held()
    first, again, other = (held.attributed(random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.pixels_random, again.pixels_random)
    np.testing.assert_array_equal(first.pixels, other.pixels)
    for found in (first, other):
        assert (found.genes_random.index == found.genes.index).all()
        assert np.abs(found.pixels - found.pixels_random).max() > 0.1 * np.abs(found.pixels).max()
        for name, a, b in [
            ("pixels", found.pixels, found.pixels_random),
            ("genes", found.genes, found.genes_random),
        ]:
            assert found.agreement_with_random[name] == pytest.approx(spearmanr(np.ravel(a), np.ravel(b)).statistic)
    assert np.abs(first.pixels_random - other.pixels_random).max() > 0
    assert abs(first.agreement_with_random["genes"]) < 0.8


def test_redrawn_weights_are_not_those_that_training_began_with_and_scales_stay() -> None:
    model = _pixels().model
    with seeded(0):
        began = Model.new(model.config, model.meta).module
    anew, own = redrawn(model, 0).state_dict(), model.module.state_dict()
    for name in ("pairs.genes.scale.mean", "pairs.genes.scale.scale"):
        torch.testing.assert_close(anew[name], own[name])
    for name in ("pairs.image.head.0.weight", "trunk.network.blocks.0.attn.qkv.weight"):
        for other in (own, began.state_dict()):
            corr = torch.corrcoef(torch.stack([anew[name].ravel(), other[name].ravel()]))[0, 1]
            assert abs(corr.item()) < 0.15


@pytest.mark.filterwarnings("ignore:the joint-space vectors of the image have collapsed")
def test_a_map_that_random_weights_give_too_is_warned_of() -> None:
    adata = _section()
    pca = _pca_of(adata)
    # A single number of the image: whatever the weights are, squares that change it most come first.
    encoder = Left("darkness", sha256="2" * 64)
    encoder.__class__ = type("Dark", (Left,), {"__call__": lambda self, tiles: tiles.mean(axis=(1, 2, 3))[:, None]})
    hs.tl.encode_image(adata, encoder, cache=False)
    model = hs.tl.fuse(adata, Contrastive(dim=8, hidden=0), train=QUICK)
    held = Held(adata, pca, model, encoder)
    with pytest.warns(UserWarning, match=r"much like that of random weights \(rank correlation of pixels -?0\.9|1\.0"):
        found = held.attributed()
    assert abs(found.agreement_with_random["pixels"]) > 0.9


def test_agreement_of_a_constant_map_is_no_number() -> None:
    found = _cached().attributed(n_patches=1)
    assert np.isnan(found.agreement_with_random["pixels"])


# what stays as it was


@pytest.mark.parametrize(
    ("held", "method"),
    [(_cached, "occlusion"), (_tokens, "occlusion"), (_pixels, "occlusion"), (_pixels, "gradient")],
)
def test_nothing_is_written_and_models_stay(held: Any, method: str) -> None:
    held = held()
    before = digest(held.adata), held.model.sha256, held.pca.sha256, torch.get_rng_state()
    held.attributed(method=method)
    assert (digest(held.adata), held.model.sha256, held.pca.sha256) == before[:3]
    assert torch.equal(torch.get_rng_state(), before[3])
    assert all(p.grad is None for p in held.model.module.parameters())


def test_saved_models_give_the_same(tmp_path: Any) -> None:
    for held in (_cached(), _pixels()):
        held.model.save(tmp_path / "model")
        held.pca.save(tmp_path / "pca")
        loaded = replace(held, model=hs.nn.load(tmp_path / "model"), pca=hs.nn.load(tmp_path / "pca"))
        a, b = held.attributed(), loaded.attributed()
        np.testing.assert_array_equal(a.pixels, b.pixels)
        np.testing.assert_array_equal(a.pixels_random, b.pixels_random)
        np.testing.assert_array_equal(a.genes, b.genes)


# what is refused or warned of


@pytest.mark.parametrize(
    ("held", "options", "error", "says"),
    [
        (_cached, {"encoder": None}, OptionError, r"encoder: found None.*that made obsm\['X_image'\].*encoder='left'"),
        (_cached, {"encoder": "mean_rgb"}, OptionError, r"encoder: found mean_rgb.*encoder mean_rgb instead of left"),
        (_cached, {"encoder": Left(sha256="3" * 64)}, OptionError, r"left \(333333333333\).*left \(111111111111\)"),
        (_cached, {"method": "gradient"}, OptionError, r"method: found 'gradient' with left.*method='occlusion'"),
        (_cached, {"method": "lime"}, OptionError, "method: found 'lime'"),
        (_cached, {"n_patches": 0}, OptionError, "n_patches: found 0"),
        (_cached, {"n_patches": 33}, OptionError, "n_patches: found 33 for left; expected at most 32"),
        (_cached, {"gene_model": lambda: _pixels().pca}, OptionError, r"gene_model: found PCA .*the one of training"),
        (_cached, {"gene_model": lambda: _cached().model}, OptionError, "gene_model: found Contrastive"),
        (_pixels, {"encoder": "mean_rgb"}, OptionError, "encoder: found 'mean_rgb'; expected None"),
        (_cached, {"tiles_key": "none"}, MissingError, "none"),
    ],
)
def test_wrong_options_are_refused(held: Any, options: dict[str, Any], error: Any, says: str) -> None:
    held, options = (
        held(),
        {name: value() if callable(value) and name == "gene_model" else value for name, value in options.items()},
    )
    before = digest(held.adata)
    with pytest.raises(error, match=says):
        held.attributed(**options)
    assert digest(held.adata) == before


@pytest.mark.parametrize("spot", ["nobody", "twice"])
def test_spots_that_are_no_one_spot_are_refused(spot: str) -> None:
    held = _cached()
    adata = held.adata.copy()
    adata.obs_names = ["twice", "twice", *adata.obs_names[2:]]
    error = {"nobody": MissingError, "twice": OptionError}[spot]
    with pytest.raises(error, match=rf"spot: found '{spot}', the name of [02] spots"):
        hs.tl.attribute(adata, held.model, spot, encoder=held.encoder)


@pytest.mark.parametrize("lacks", ["X_image", "X_genes", "tiles", "box"])
def test_a_spot_without_image_or_genes_is_refused(lacks: str) -> None:
    held = _cached()
    adata = held.adata.copy()
    if lacks == "box":
        adata.obsm["tiles"][7] = [-900, -900, 10, 10]
    elif lacks == "tiles":
        adata.obs["tiles_valid"] = np.arange(60) != 7
    else:
        adata.obs[f"{lacks}_valid"] = np.arange(60) != 7
    with pytest.raises(OptionError, match=rf"spot: found '{held.spot}' with.*expected one with an image and genes"):
        replace(held, adata=adata).attributed()


def test_stain_mapped_and_dense_vectors_are_refused() -> None:
    held = _cached()
    for key, value, says in [
        ("hashes", {"stain": "4" * 64}, "mapped to another stain"),
        ("params", {"pooling": "dense"}, "means of patch tokens"),
    ]:
        adata = held.adata.copy()
        model = Model(
            held.model.config, held.model.module, {**held.model.meta, "encoders": {"image": None, "genes": None}}
        )
        adata.uns["histoscribe"]["obsm.X_image"][key].update(value)
        with pytest.raises(OptionError, match=says):
            replace(held, adata=adata, model=model).attributed()


def test_another_model_or_section_is_refused() -> None:
    held = _cached()
    with pytest.raises(OptionError, match="model: found PCA"):
        hs.tl.attribute(held.adata, held.pca, held.spot)
    with pytest.raises(OptionError, match="adata: found list; expected one AnnData"):
        hs.tl.attribute([held.adata], held.model, held.spot)


def test_counts_tiles_and_genes_that_changed_since_are_told() -> None:
    held = _cached()
    adata = held.adata.copy()
    order = np.arange(60)
    order[7] = 8
    adata.layers["counts"] = adata.layers["counts"][order]
    with pytest.warns(UserWarning, match=r"obsm\['X_genes'\] differs by .*encode_genes"):
        replace(held, adata=adata).attributed()
    adata = held.adata.copy()
    adata.obsm["tiles"][7] = adata.obsm["tiles"][11]
    with pytest.warns(UserWarning, match=r"obsm\['X_image'\] is not what left makes.*encode_image"):
        replace(held, adata=adata).attributed()
    adata = held.adata.copy()
    adata.var_names = [f"other{k}" for k in range(200)]
    with pytest.raises(GenesError, match="none of the genes of gene_model"):
        replace(held, adata=adata).attributed()


def test_several_sections_and_names_of_slots() -> None:
    import anndata

    held = _cached()
    one, two = held.adata.copy(), cached_toy(n_spots=60, n_genes=200, random_state=3)
    two.obs["library_id"] = two.obs["library_id"].cat.rename_categories(lambda name: f"{name}_other")
    two.obs_names = [f"{name}_other" for name in two.obs_names]
    two.uns["spatial"] = {f"{name}_other": entry for name, entry in two.uns["spatial"].items()}
    for section in (one, two):
        hs.pp.tile(section, size_um=SIZE * 4.0, key_added="boxes")
        hs.tl.encode_image(section, Left(), tiles_key="boxes", cache=False)
        hs.tl.encode_genes(section, held.pca)
    both = anndata.concat([one, two], uns_merge="first")
    both.uns["spatial"] = {**one.uns["spatial"], **two.uns["spatial"]}
    both.uns["histoscribe"] = one.uns["histoscribe"]
    spot = two.obs_names[5]
    apart = hs.tl.attribute(two, held.model, spot, encoder=Left(), gene_model=held.pca, n_patches=3)
    joined = hs.tl.attribute(both, held.model, spot, encoder=Left(), gene_model=held.pca, n_patches=3)
    assert joined.section == apart.section == next(iter(two.uns["spatial"]))
    np.testing.assert_allclose(joined.pixels, apart.pixels, atol=1e-12)
    np.testing.assert_array_equal(joined.tile, apart.tile)
