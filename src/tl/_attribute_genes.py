"""The genes of one spot, as the model that made its vector reads them."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from torch import Tensor

from .._counts import raw_counts
from .._errors import GenesError, OptionError
from .._expression import log_cp10k
from .._gene_names import match_genes
from .._keys import Keys, Slot
from .._record import record
from .._vocabulary import PAD, Vocabulary
from .._warn import warn
from ..nn import PCA, GeneEncoder, Model
from ..nn._device import choose_device
from ..nn.fusion._gene_parts import LinearParts, TokenParts
from ..nn.fusion._joint import pairs_of
from ._attribute_image import Place
from ._encode_components import joined
from ._fusion_genes import gene_encoder_of
from ._lazy_sections import among, open_source, summed_by_section

_COLUMN = "column of {}"
_TOLERANCE = 0.02  # of the vector's length: bfloat16 differs in the third digit


class Genes(NamedTuple):
    """What a spot's gene vector is made of, and what its parts are called."""

    parts: LinearParts | TokenParts
    names: list[str]
    kind: str

    def series(self, values: Tensor) -> pd.Series:
        """Numbers of the parts by name, in their order; of removed tokens there may be fewer than names."""
        index = pd.Index(self.names[: len(values)], name=self.kind, dtype=object)
        return pd.Series(values.numpy(), index=index, name="attribution", dtype=np.float64)


def check_gene_model(model: Model, gene_model: Any) -> None:
    """Refuse what is not the gene encoder that a fusion model was trained with."""
    if gene_model is None:
        return
    if "gene_encoder" in model.meta:
        expected = "None: the model has a gene encoder of its own"
        raise OptionError("gene_model", found=gene_model.name, expected=expected, fix="Leave it out.")
    if not isinstance(getattr(gene_model, "config", None), PCA | GeneEncoder):
        found, fix = (
            getattr(gene_model, "name", type(gene_model).__name__),
            "Pass the model that wrote obsm['X_genes'].",
        )
        raise OptionError("gene_model", found=found, expected="a gene encoder, or None", fix=fix)
    trained = model.meta["encoders"]["genes"]
    if trained and gene_model.sha256 != trained:
        found = f"{gene_model.name} {gene_model.sha256[:12]}"
        fix = f"Pass the model that wrote obsm[{model.meta['slots']['genes']!r}], or None for its columns."
        raise OptionError("gene_model", found=found, expected=f"the one of training, {trained[:12]}", fix=fix)


def genes_of(
    adata: AnnData,
    place: Place,
    vector: Tensor,
    model: Model,
    gene_model: Model | None,
    *,
    slot: Slot,
    library_key: str,
    device: str | None,
) -> Genes:
    """Take the vector (d,) of a spot apart, into genes where the gene model is there, else into its columns."""
    if "gene_encoder" in model.meta:
        own = gene_encoder_of(model)
        layer = None if slot == Keys.COUNTS else str(slot)
        return _tokens(adata, place, vector, own, slot, layer, library_key, device)
    layer = record(adata, slot).get("params", {}).get("layer")
    if gene_model is None:
        mean = pairs_of(model.module).genes.scale.mean.cpu()
        names = [f"{slot}[{k}]" for k in range(len(vector))]
        return Genes(LinearParts(vector, torch.eye(len(vector)), vector - mean), names, _COLUMN.format(slot))
    if isinstance(gene_model.config, PCA):
        return _components(adata, place, vector, gene_model, slot, layer)
    return _tokens(adata, place, vector, gene_model, slot, layer, library_key, device)


def _components(
    adata: AnnData, place: Place, vector: Tensor, gene_model: Model, slot: Slot, layer: str | None
) -> Genes:
    names, module = gene_model.meta["genes"], gene_model.module
    match = match_genes(adata, names)
    present = np.isin(np.arange(len(names)), match.position)
    if not present.any():
        fix = "Pass the model that wrote the vectors of this section."
        raise GenesError("var_names", found="none of the genes of gene_model", expected="its genes", fix=fix)
    counts = joined(sp.csr_matrix(raw_counts(adata, layer)[[place.row]]), match, len(names))
    _warn_if_other(vector, torch.from_numpy(module.transform(counts, present)[0]), slot)
    at = torch.from_numpy(np.flatnonzero(present))
    expression = torch.from_numpy(log_cp10k(counts).toarray()[0])
    deviation = (expression - module.mean.cpu().double())[at]
    parts = LinearParts(vector, module.components.cpu()[:, at], deviation)
    return Genes(parts, [names[k] for k in at.tolist()], "gene")


def _tokens(
    adata: AnnData,
    place: Place,
    vector: Tensor,
    gene_model: Model,
    slot: Slot,
    layer: str | None,
    library_key: str,
    device: str | None,
) -> Genes:
    vocabulary = Vocabulary.from_json(gene_model.meta["vocabulary"])
    tokens = _tokens_of(adata, place, gene_model, vocabulary, layer, library_key)
    if not len(tokens):
        fix = "Pass the model that wrote the vectors of this section."
        found = f"none of them in spot {place.spot!r}"
        raise GenesError("var_names", found=found, expected="genes of the vocabulary of gene_model", fix=fix)
    parts = TokenParts(gene_model.module.to(choose_device(device)), torch.from_numpy(tokens.astype(np.int64)), vector)
    if gene_model.meta["rank"] != "section":  # else the mean of the section was subtracted
        _warn_if_other(vector, parts.whole - parts.offset, slot)
    return Genes(parts, vocabulary.decode(tokens), "gene")


def _tokens_of(
    adata: AnnData,
    place: Place,
    gene_model: Model,
    vocabulary: Vocabulary,
    layer: str | None,
    library_key: str,
) -> Any:
    """Tokens (l,) of one spot, as :func:`encode_genes` makes them."""
    from ..pp._tokens import TokenOptions, block_tokens

    options = TokenOptions(gene_model.config.n_tokens, gene_model.meta["rank"], layer, library_key)
    match = match_genes(adata, vocabulary.genes)
    with open_source(adata, layer, library_key) as source:
        totals: dict[str, Any] = {}
        if options.rank == "section":
            totals, _ = among(summed_by_section(source, apart=True), match, len(vocabulary))
        counts = sp.csr_matrix(raw_counts(adata, layer)[[place.row]])
        rows = {place.section: np.zeros(1, dtype=np.intp)}
        tokens, _ = block_tokens(counts, vocabulary, options, match=match, rows=rows, totals=totals)
    return tokens[0][tokens[0] != PAD]


def by_other_weights(parts: Any, model: Model, anew: Any) -> Any:
    """Have the genes of a spot read by the network of another module, where the model has a gene encoder of its own."""
    if "gene_encoder" not in model.meta:
        return parts
    return TokenParts.of(pairs_of(anew).gene_encoder.network.to(parts.device), parts.tokens)


def _warn_if_other(vector: Tensor, made: Tensor, slot: Slot) -> None:
    """Warn where the counts are not those that a vector was made of."""
    off = float((vector - made).double().norm() / vector.double().norm().clamp(min=1e-12))
    if off > _TOLERANCE:
        msg = (
            f"{slot.where}[{str(slot)!r}] differs by {off:.0%} from what gene_model makes of the counts that there are: "
            "run hs.tl.encode_genes(adata, gene_model) again"
        )
        warn(msg)
