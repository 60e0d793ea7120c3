"""Gene tokens of sections, for a fusion model with a gene encoder of its own."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray
from torch import Tensor

from .._progress import progress
from .._vocabulary import PAD
from ..nn import Model
from ..nn._device import choose_device
from ._encode_tokens import encode, model_tokens
from ._lazy_sections import open_source
from ._section_means import less_their_means


class Block(NamedTuple):
    """Spots that are encoded together: rows among all from ``start`` to ``stop``."""

    start: int
    stop: int


class GeneTokens:
    """Tokens of all spots of sections, in the order of the list.

    Parameters
    ----------
    adatas
        Sections with raw counts.
    model
        The gene encoder that reads them.
    layer
        Layer with raw counts.
    library_key
        Column of ``obs`` that says the section.
    """

    def __init__(self, adatas: Sequence[AnnData], model: Model, *, layer: str | None, library_key: str) -> None:
        found: list[Tensor] = []
        self._blocks: list[Block] = []
        self._sections: list[tuple[Block, dict[str, NDArray[np.intp]]]] = []
        n = 0
        for one in adatas:
            with open_source(one, layer, library_key) as source:
                for tokens in model_tokens(source, model)[1]:
                    found.append(torch.from_numpy(tokens.astype(np.int32)))
                    self._blocks.append(Block(n, n + len(tokens)))
                    n += len(tokens)
                self._sections.append((Block(n - one.n_obs, n), source.sections))
        every = torch.cat(found)
        longest = max(1, int((every != PAD).sum(dim=1).max()))
        self.tokens = every[:, :longest].clone()
        self.there = (self.tokens[:, 0] != PAD).numpy()

    def vectors(self, model: Model, device: str | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors (n, dim) as the network makes them; and as :func:`encode_genes` writes them, the section's mean apart."""
        chosen = choose_device(device)
        module = model.module.to(chosen).eval()
        found = np.zeros((len(self.tokens), model.config.dim), dtype=np.float32)
        try:
            with progress(desc="encoding genes", total=len(found), unit="spot") as bar:
                for start, stop in self._blocks:
                    found[start:stop] = encode(self.tokens[start:stop].numpy(), module, chosen)
                    bar.update(stop - start)
        finally:
            module.cpu()
        if model.meta["rank"] != "section":
            return found, found
        centred = found.copy()
        for (start, stop), sections in self._sections:
            centred[start:stop] = less_their_means(found[start:stop], self.there[start:stop], sections)
        return found, centred
