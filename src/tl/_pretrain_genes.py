"""Train the gene encoder on sections, from their genes and neighbourhoods alone."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .._checks import check
from .._errors import OptionError
from .._keys import Keys
from .._record import plain
from .._types import check_types
from .._vocabulary import PAD, Vocabulary
from ..nn import GeneEncoder, Model, TrainConfig
from ..nn._seed import seeded
from ..nn.genes._corpus import Corpus
from ..nn.genes._groups import GroupRows
from ..nn.genes._neighbourhoods import ABSENT
from ._held_out import held_out
from ._lazy_sections import Sections, each_section, open_source, summed
from ._token_parts import corpus_of

_SPOTS_TO_START = 20_000
_EPOCHS_TO_START = 64  # then a spot has met all its neighbours
_LARGEST = 1 << 16  # of any size: beyond all models, and torch's own words for too little memory say nothing
Rank: TypeAlias = Literal["mean", "residual", "section"]


def pretrain_genes(
    adatas: Sections,
    config: GeneEncoder | None = None,
    *,
    vocabulary: Vocabulary | None = None,
    rank: Rank = "mean",
    layer: str | None = None,
    library_key: str = Keys.LIBRARY_ID,
    train: TrainConfig | None = None,
    device: str | None = None,
) -> Model:
    """Train a gene encoder on sections: hidden genes from the others of the spot, then from its neighbours too.

    Nothing but counts and positions is read, so sections without labels or images will do. Files are read a block of
    rows at a time, and their tokens kept in ``hs.settings.cache_dir``, where the next call finds them: a corpus may be
    larger than memory. The model is the same from files as from memory. With five patients or more, whole patients are
    held out to stop early by; else with five sections or more, whole sections; else blocks of neighbouring spots of
    each.

    Parameters
    ----------
    adatas
        Sections to learn from: the training sections, and no others. AnnData, or paths of ``.h5ad`` and ``.zarr``.
    config
        Options of the model; ``hs.nn.GeneEncoder()``, the reference's, where left out. ``hs.nn.GeneEncoder.tiny()`` and
        ``.small()`` suit fewer spots.
    vocabulary
        Genes that have tokens; fitted on the sections where left out.
    rank
        How genes are ordered, as in :func:`histoscribe.pp.tokenize_genes`. With ``"section"``, :func:`encode_genes` takes
        the section's mean off its vectors, too: what is left is what differs within it.
    layer
        Layer with raw counts.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several.
    train
        Options of training; ``batch_size`` counts spots, and ``epochs=0`` leaves the model as it starts.
    device
        Name of a torch device.

    Returns
    -------
    The model, for :func:`encode_genes`; it carries the vocabulary.

    Raises
    ------
    CountsError
        No raw counts.
    ScaleError
        The scale of a section is not known, so that its neighbourhoods are not.
    FileError
        A file is not there, no AnnData, or broken.
    OptionError
        ``config`` or ``train`` is something else; no spot has genes; or none has a neighbour, and the model has a
        context to learn.
    TrainingError
        The loss is no longer a number.

    Warns
    -----
    UserWarning
        A section has no gene in common with the first.

    References
    ----------
    "Fusing Pixels and Genes: Spatially-Aware Learning in Computational Pathology", ICLR 2026, arXiv:2602.13944.

    Examples
    --------
    >>> model = hs.tl.pretrain_genes(train, hs.nn.GeneEncoder.tiny())
    >>> hs.tl.encode_genes(test, model)

    >>> model = hs.tl.pretrain_genes(["first.h5ad", "second.zarr"], hs.nn.GeneEncoder.tiny())
    """
    from ..nn._fit import fit
    from ..pp._tokens import TokenOptions

    check_types(pretrain_genes, locals())
    sections = each_section(adatas)
    config, train = _options(config, train)
    check("rank", rank, rank in get_args(Rank), f"one of {list(get_args(Rank))}")
    vocabulary = _vocabulary(sections, layer, library_key) if vocabulary is None else vocabulary
    corpus, patients = corpus_of(sections, vocabulary, TokenOptions(config.n_tokens, rank, layer, library_key))
    usable = _usable(corpus)
    out = _held_out(corpus, usable, patients, train)

    def rows(chosen: NDArray[np.bool_]) -> GroupRows:
        extent, overlap = config.max_extent_um, config.overlap
        return GroupRows(corpus, chosen, size=config.group_size, max_extent_um=extent, overlap=overlap)

    learn = rows(usable & ~out)
    if config.context is not None:
        _check_neighbours(learn, train.random_state)
    meta = {
        "sizes": {"tokens": vocabulary.n_tokens},
        "vocabulary": vocabulary.to_json(),
        "rank": rank,
        "max_extent_um": float(np.median(learn.extents)),
        "n_spots": int(usable.sum()),
        "train": plain(train),
    }
    with seeded(train.random_state):
        model = Model.new(config, meta)
        if config.start == "linear":
            model.module.start(_some_groups(learn, train.random_state), train.random_state)
    model.history = fit(model.module, learn, train, val=rows(out) if out.any() else None, device=device)
    return model


def _options(config: GeneEncoder | None, train: TrainConfig | None) -> tuple[GeneEncoder, TrainConfig]:
    config, train = config or GeneEncoder(), train or TrainConfig()
    if not isinstance(config, GeneEncoder):
        fix = "Pass hs.nn.GeneEncoder(...), its .tiny() or its .small()."
        raise OptionError("config", found=repr(config), expected="a GeneEncoder", fix=fix)
    if not isinstance(train, TrainConfig):
        fix = "Pass train=hs.nn.TrainConfig(epochs=...)."
        raise OptionError("train", found=repr(train), expected="a TrainConfig", fix=fix)
    for name in ("dim", "depth", "hidden", "n_tokens"):
        size = getattr(config, name)
        check(f"GeneEncoder.{name}", size, size <= _LARGEST, f"{_LARGEST:,} at most")
    return config, train


def _vocabulary(adatas: Sequence[AnnData | Path], layer: str | None, library_key: str) -> Vocabulary:
    """Fit the vocabulary, a section at a time."""
    from ..pp._vocabulary import check_one_naming, vocabulary_of

    names: list[list[str]] = []

    def found() -> Iterator[tuple[Any, list[str]]]:
        for one in adatas:
            with open_source(one, layer, library_key) as source:
                names.append(list(map(str, source.frame.var_names)))
                check_one_naming([names[0], names[-1]])
                yield summed(source)

    return vocabulary_of(found())


def _some_groups(rows: GroupRows, random_state: int) -> Tensor:
    """Tokens (b, g, l) of groups of several epochs, so that each spot meets all its neighbours."""
    epochs = range(min(max(1, _SPOTS_TO_START // len(rows)), _EPOCHS_TO_START))
    parts = [rows[next(iter(rows.batches(_SPOTS_TO_START, random_state, partial(int, e))))]["tokens"] for e in epochs]
    longest = max(part.shape[2] for part in parts)
    return torch.cat([F.pad(part, (0, longest - part.shape[2]), value=PAD) for part in parts])


def _usable(corpus: Corpus) -> NDArray[np.bool_]:
    """Spots with a gene of the vocabulary."""
    usable = np.concatenate([corpus.lengths(start, stop) > 0 for start, stop, _ in corpus.sections])
    if not usable.any():
        fix = "Pass sections that measure genes of the vocabulary."
        raise OptionError("adatas", found="no spots with genes", expected="some", fix=fix)
    return usable


def _check_neighbours(learn: GroupRows, seed: int) -> None:
    """Refuse spots of which none has a neighbour: there would be nothing to learn from."""
    for chunk in learn.chunks:
        if ((learn.groups(chunk, seed, 0) != ABSENT).sum(axis=1) > 1).any():
            return
    extent = max(learn.extents)
    fix = "Check obsm['spatial'] and the scale, raise max_extent_um of the GeneEncoder, or pass it context=None."
    raise OptionError(
        "adatas",
        found=f"no two spots near enough for a max_extent_um of {extent:g}",
        expected="neighbourhoods",
        fix=fix,
    )


def _held_out(
    corpus: Corpus, usable: NDArray[np.bool_], patients: Sequence[str | None], train: TrainConfig
) -> NDArray[np.bool_]:
    sizes = [stop - start for start, stop, _ in corpus.sections]
    section = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)

    def xy(rows: NDArray[np.intp]) -> NDArray[np.float64]:
        first = int(rows[0])
        return corpus.xy(first, int(rows[-1]) + 1)[rows - first]

    return held_out(xy, section, usable, train.val_fraction, train.random_state, patients=patients)
