"""Gene vectors of a token model: tokens made with its own vocabulary, spots of like length together."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .._gene_names import check_coverage, check_known, match_genes
from .._progress import progress
from .._settings import settings
from .._vocabulary import PAD, Vocabulary
from .._warn import warn
from ..nn import Model
from ..nn._device import choose_device
from ..nn.image._exact import arithmetic
from ._lazy_sections import Source, among, summed_by_section
from ._token_parts import token_blocks

_ON_CPU, _ELSEWHERE = 1 << 12, 1 << 17  # tokens of a batch: what a cache holds, what keeps an accelerator busy

Encoded = tuple[NDArray[np.float32], NDArray[np.bool_]]


def token_vectors(source: Source, model: Model, device: str | None) -> tuple[dict[str, Any], Iterator[Encoded]]:
    """Return what the record says of the genes; and by blocks of rows, vectors (n, dim) and which spots have genes."""
    names, blocks = model_tokens(source, model)
    return {**names, "precision": settings.precision}, _blocks(blocks, model, device, source.frame.n_obs)


def model_tokens(source: Source, model: Model) -> tuple[dict[str, Any], Iterator[NDArray[np.unsignedinteger]]]:
    """Return what the record says of the genes; and by blocks of rows, the tokens (n, l) that a model reads."""
    from ..pp._tokens import TokenOptions

    vocabulary = Vocabulary.from_json(model.meta["vocabulary"])
    options = TokenOptions(model.config.n_tokens, model.meta["rank"])
    match = match_genes(source.frame, vocabulary.genes)
    sums = summed_by_section(source, apart=options.rank == "section")
    totals, coverage = among(sums, match, len(vocabulary))
    n_found = int(match.found.sum())
    check_coverage(source.frame, vocabulary.genes, n_found, coverage, among="in the vocabulary")
    check_known(n_found, len(vocabulary), vocabulary.share(match.position[match.found]))
    if options.rank == "section":
        source.warn_of_one_section()
        _warn_of_lone_spots(source)
    names = match.params(len(vocabulary), coverage=coverage)
    blocks = token_blocks(source, vocabulary, options, match=match, totals=totals)
    return {"n_tokens": options.n_tokens, "rank": options.rank, **names}, (tokens for tokens, _ in blocks)


def _warn_of_lone_spots(source: Source) -> None:
    alone = [name for name, rows in source.sections.items() if len(rows) < 2]
    if alone:
        msg = (
            f"one spot alone of section {alone[0]!r}: less the mean of its section nothing is left of its vector; this "
            "model was trained with rank='section', pass whole sections"
        )
        warn(msg)


def _blocks(
    blocks: Iterator[NDArray[np.unsignedinteger]], model: Model, device: str | None, n: int
) -> Iterator[Encoded]:
    chosen = choose_device(device)
    module = model.module.to(chosen).eval()
    try:
        with progress(desc="encoding", total=n, unit="spot") as bar:
            for tokens in blocks:
                yield encode(tokens, module, chosen), tokens[:, 0] != PAD
                bar.update(len(tokens))
    finally:
        module.cpu()


def encode(tokens: NDArray[np.unsignedinteger], module: Any, device: torch.device) -> NDArray[np.float32]:
    """Vectors (n, dim) of tokens (n, l) at ``settings.precision``; zeros for a spot without genes."""
    vectors = np.zeros((len(tokens), module.config.dim), dtype=np.float32)
    lengths = (tokens != PAD).sum(axis=1)
    at_once = _ON_CPU if device.type == "cpu" else _ELSEWHERE
    with arithmetic(settings.precision, device):
        for rows in batches_of_like_length(lengths, at_once):
            ids = torch.from_numpy(tokens[rows, : lengths[rows].max()].astype(np.int64))
            vectors[rows] = module.embed(ids.to(device)).float().cpu().numpy()
    return vectors


def batches_of_like_length(lengths: NDArray[np.integer], at_once: int) -> Iterator[NDArray[np.intp]]:
    """Rows of each batch, the longest first, so that little is padded; ``at_once`` tokens at most, or one row."""
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    start = 0
    while start < len(order):
        end = start + max(1, at_once // int(lengths[order[start]]))
        yield order[start:end]
        start = end
