"""Rows of the catalogue: training of gene encoders."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import GenesError, MissingError, OptionError, TrainingError

from .row import Defined, Elsewhere, Raises, Row, Try
from .sections import SHORT, SMALL, plain, vocabulary
from .tries import pretrained

_NAME = "tl.pretrain_genes"


def _spoiled(change: Callable[[AnnData], Any]) -> Callable[[], AnnData]:
    def build() -> AnnData:
        adata = plain()
        change(adata)
        return adata

    return build


def _trained(adata: Any, config: Any = None, train: Any = None, **options: Any) -> Any:
    config = hs.nn.GeneEncoder(**SMALL) if config is None else config
    train = hs.nn.TrainConfig(**{**SHORT, **(train or {})}) if isinstance(train, dict | None) else train
    return hs.tl.pretrain_genes(adata, config, train=train, **options)


def _with(train: dict[str, Any] | None = None, **options: Any) -> dict[str, Try]:
    """Train with these options of the encoder."""
    return {_NAME: lambda adata: _trained(adata, hs.nn.GeneEncoder(**{**SMALL, **options}), train)}


def _without_shares(adata: AnnData, **options: Any) -> Any:
    found = vocabulary()
    old = hs.pp.Vocabulary(found.genes, found.means, found.n_nonzero, None)
    return _trained(adata, vocabulary=old, **options)


def _empty(adata: AnnData) -> None:
    adata.layers["counts"] = adata.layers["counts"] * 0


def _halves() -> list[AnnData]:
    """Two AnnData, each a half of the section and under its name."""
    adata = plain()
    return [adata[:30].copy(), adata[30:].copy()]


def _as_named_apart(adatas: list[AnnData], found: list[Any]) -> None:
    """One name in two AnnData is two sections: no neighbourhood joins them."""
    apart = [one.copy() for one in adatas]
    apart[1].obs["library_id"] = "other"
    apart[1].uns["spatial"] = {"other": apart[1].uns["spatial"]["toy_1"]}
    for one, other in zip(found, pretrained(apart), strict=True):
        assert one == other if isinstance(one, dict) else np.array_equal(one, other)


def _two_libraries(adata: AnnData) -> None:
    adata.uns["spatial"]["other"] = adata.uns["spatial"]["toy_1"]
    del adata.obs["library_id"]


def _some_lost(adata: AnnData) -> None:
    adata.obsm["spatial"] = adata.obsm["spatial"].astype(float)
    adata.obsm["spatial"][[3, 40]] = [[np.nan, 5], [7, np.inf]]


def _all_lost(adata: AnnData) -> None:
    adata.obsm["spatial"] = np.full((adata.n_obs, 2), np.nan)


def _two_at_one_place(adata: AnnData) -> None:
    adata.obsm["spatial"][11] = adata.obsm["spatial"][10]


def _in_rows(adata: AnnData) -> None:
    """Rows and columns of the array instead of pixels."""
    adata.obsm["spatial"] = np.round(adata.obsm["spatial"] / 100)


def _in_one_place(adata: AnnData) -> None:
    adata.obsm["spatial"] = np.zeros((adata.n_obs, 2))


def _one_each(adata: AnnData) -> None:
    """Every spot a section of its own."""
    adata.obs["library_id"] = [f"s{k}" for k in range(adata.n_obs)]
    adata.uns["spatial"] = {f"s{k}": adata.uns["spatial"]["toy_1"] for k in range(adata.n_obs)}


def _with_one_alone() -> list[AnnData]:
    adata = plain()
    return [adata[:59].copy(), adata[59:].copy()]


def _learns(_: Any, model: Any) -> None:
    assert [set(row) for row in model.history] == [{"epoch", "lr", "train_loss", "train_igr", "train_context"}]
    assert all(np.isfinite(value) and (value > 0 or key in ("epoch", "lr")) for key, value in model.history[0].items())


def _learns_all(adata: Any, model: Any) -> None:
    assert model.meta["n_spots"] == 60
    _learns(adata, model)


def _exploding(adata: AnnData) -> Any:
    return _trained(adata, train={"lr": 1e30, "clip": None, "warmup": 0, "epochs": 20})


def _key_of_none(adata: AnnData) -> Any:
    return hs.pp.tokenize_genes(adata, vocabulary(), rank="section", library_key="slide")


_SECTIONS: dict[str, Try] = {
    "pp.tokenize_genes section": lambda a: hs.pp.tokenize_genes(a, vocabulary(), rank="section"),
    "tl.pretrain_genes section": partial(pretrained, rank="section"),
}
_ALONE = Raises(OptionError, "adatas", r"raise max_extent_um .*context=None", "no two spots near enough")

ROWS: list[Row | Elsewhere] = [
    Row("T1", "three spots", lambda: plain()[:3].copy(), _with(), Defined("one group of three", _learns)),
    Row(
        "T1",
        "neighbourhoods of more spots than the section has",
        plain,
        _with(group_size=100),
        Defined("groups of as many as there are", _learns_all),
    ),
    Row("T1", "a batch smaller than a group", plain, _with({"batch_size": 2}), Defined("a group a batch", _learns_all)),
    Row(
        "T1",
        "more tokens than genes",
        plain,
        _with(n_tokens=1000),
        Defined("as many as there are", _learns_all),
    ),
    Row(
        "T1",
        "a section of one spot beside another",
        _with_one_alone,
        _with(),
        Defined("the spot learns from itself alone", _learns_all),
    ),
    Row("T1", "sections of one spot each", _spoiled(_one_each), _with(), _ALONE),
    Row("T1", "neighbourhoods smaller than the distance of spots", plain, _with(max_extent_um=50.0), _ALONE),
    Row("T1", "the same, overlapping sets", plain, _with(max_extent_um=50.0, context="set", overlap=True), _ALONE),
    Row(
        "A6",
        "no spot with counts",
        _spoiled(_empty),
        _with(),
        Raises(OptionError, "adatas", "measure genes of the vocabulary", "no spots with genes"),
    ),
    Row(
        "A16",
        "a vocabulary of 0.1.0, without shares",
        plain,
        {f"{_NAME} residual": partial(_without_shares, rank="residual")},
        Raises(GenesError, "shares", "Fit it anew", "none"),
    ),
    Row("A29", "two AnnData under one name", _halves, {_NAME: pretrained}, Defined("two sections", _as_named_apart)),
    Row(
        "A29",
        "an AnnData twice in the list",
        lambda: [plain()] * 2,
        _with(),
        Raises(OptionError, "adata", "once", "the same AnnData twice"),
    ),
    Row(
        "A29",
        "two libraries in uns['spatial'], no column that tells them apart, and ranks by section",
        _spoiled(_two_libraries),
        _SECTIONS,
        Raises(MissingError, r"obs\['library_id'\]", "Write the section of each row", "2 libraries"),
    ),
    Row(
        "A29",
        "a library_key that is no column",
        plain,
        {"pp.tokenize_genes section": _key_of_none, _NAME: partial(pretrained, library_key="slide")},
        Raises(MissingError, r"obs\['slide'\]", "Pass library_key=, one of", "no such column"),
    ),
    Row(
        "A31",
        "rows and columns of the array as positions",
        _spoiled(_in_rows),
        _with(),
        Defined("a warning that names their distance", _learns, "1 px apart: full-resolution pixels are needed"),
    ),
    Row(
        "A25",
        "spots without a position",
        _spoiled(_some_lost),
        _with(),
        Defined("groups of their own, which learn from themselves alone", _learns_all),
    ),
    Row(
        "A25",
        "no spot with a position",
        _spoiled(_all_lost),
        _with(),
        Raises(OptionError, "adatas", r"Check obsm\['spatial'\] and the scale", "no two spots near enough"),
    ),
    Row(
        "A28",
        "two spots at one place",
        _spoiled(_two_at_one_place),
        _with(),
        Defined(
            "neighbours; a warning counts them", _learns_all, "1 spots of section 'toy_1' lie at the place of another"
        ),
    ),
    Row(
        "A28",
        "all spots at one place",
        _spoiled(_in_one_place),
        _with(),
        Defined("a warning that counts them", _learns, "59 spots of section 'toy_1' lie at the place of another one"),
    ),
    Row(
        "T13",
        "half of few spots held out",
        plain,
        _with({"val_fraction": 0.5}),
        Defined("all spots train, and it says so", _learns_all, "60 spots are too few to hold some out"),
    ),
    Row(
        "T15",
        "a learning rate that makes the loss explode",
        plain,
        {_NAME: _exploding},
        Raises(TrainingError, "loss of step|weight", "Lower lr", "NaN"),
    ),
    *(
        Row(
            "T15",
            given,
            plain,
            {_NAME: partial(_trained, config=value)},
            Raises(OptionError, "config", "Pass a GeneEncoder"),
        )
        for given, value in {
            "the class instead of a configuration": hs.nn.GeneEncoder,
            "a configuration of another model": hs.nn.PCA(),
            "options in a dict": {"dim": 8},
            "a name": "tiny",
        }.items()
    ),
    *(
        Row(
            "T15",
            given,
            plain,
            {_NAME: partial(_trained, train=value)},
            Raises(OptionError, "train", "Pass a TrainConfig"),
        )
        for given, value in {"the class instead of TrainConfig": hs.nn.TrainConfig, "a number of epochs": 5}.items()
    ),
    Row(
        "T15",
        "a rank that there is not",
        plain,
        {_NAME: partial(_trained, rank="median")},
        Raises(OptionError, "rank", "Leave it out", "'median'"),
    ),
    Elsewhere(
        "T7",
        "training of a gene encoder killed within an epoch, then resumed",
        "the same weights, bit for bit, and each row of the log once",
        (
            "tests/nn/test_train_gene_encoder.py::"
            "test_killed_within_an_epoch_and_resumed_has_the_same_bits_and_each_row_of_the_log_once",
        ),
        raised=False,
    ),
]
