"""The genes of a fusion model that trains a gene encoder further: tokens to learn from, and vectors after it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray
from torch import Tensor

from .._errors import OptionError
from .._keys import Keys, Slot
from ..nn import Contrastive, GeneEncoder, Model
from ..nn._diverged import check_finite
from ..nn.fusion._gene_reader import described
from ..nn.fusion._joint import pairs_of
from ._gene_tokens import GeneTokens


class FusionGenes:
    """Gene tokens of all spots, and the encoder that reads them, as it is before.

    Of an encoder that ranks genes with ``rank="section"``, vectors count less the mean of their section. While it is
    trained that is the mean of before: that of a batch would be of few spots.

    Parameters
    ----------
    adatas
        Sections with raw counts.
    model
        The gene encoder; it is left as it is.
    layer
        Layer with raw counts.
    library_key
        Column of ``obs`` that says the section.
    device
        Name of a torch device.
    """

    def __init__(
        self, adatas: Sequence[AnnData], model: Model, *, layer: str | None, library_key: str, device: str | None
    ) -> None:
        self._tokens = GeneTokens(adatas, model, layer=layer, library_key=library_key)
        self.described = {**described(model), "network": model.module}
        self.there = torch.from_numpy(self._tokens.there)
        raw, before = self._tokens.vectors(model, device)
        self.before = torch.from_numpy(before)
        self.served: dict[str, Tensor] = {"tokens": self._tokens.tokens}
        if model.meta["rank"] == "section":
            self.served["genes_mean"] = torch.from_numpy(raw) - self.before

    def encoded(self, model: Model, device: str | None) -> Tensor:
        """Vectors (n, dim) by the encoder of a trained model, whose scale follows what training moved them all by."""
        raw, vectors = map(torch.from_numpy, self._tokens.vectors(gene_encoder_of(model), device))
        check_finite({"genes": raw})
        if "genes_mean" in self.served:
            moved = (raw - self.served["genes_mean"] - vectors)[self.there].mean(dim=0)
            pairs_of(model.module).genes.scale.mean -= moved
        return vectors


def vectors_of_counts(
    adatas: Sequence[AnnData], model: Model, counts: Slot, *, library_key: str, device: str | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors (n, dim) of the counts of all spots, by the gene encoder of a fusion model, and which spots have one."""
    layer = None if counts == Keys.COUNTS else str(counts)
    encoder = gene_encoder_of(model)
    tokens = GeneTokens(adatas, encoder, layer=layer, library_key=library_key)
    return tokens.vectors(encoder, device)[1], tokens.there


def gene_encoder_of(model: Model) -> Model:
    """Return the gene encoder inside a fusion model, which shares its weights."""
    encoder: Model = pairs_of(model.module).gene_encoder.model
    return encoder


def check_trained_further(config: Any, gene_model: Any) -> None:
    """Refuse to train further what is no gene encoder, or for a model that does not."""
    if gene_model is None:
        return
    if not isinstance(config, Contrastive):
        fix = "Leave it out, and pass gene_rep=."
        raise OptionError("gene_model", found=f"one for {type(config).__name__}", expected="None", fix=fix)
    if not isinstance(getattr(gene_model, "config", None), GeneEncoder):
        found = getattr(gene_model, "name", type(gene_model).__name__)
        fix = "Pass what hs.tl.pretrain_genes returned, or None to take the vectors of obsm['X_genes'] as they are."
        raise OptionError("gene_model", found=found, expected="a gene encoder that can be trained", fix=fix)
