"""Fusion: train a model on image and gene vectors."""

from collections.abc import Sequence
from typing import Any

import torch
from anndata import AnnData

from .._errors import OptionError
from .._keys import Keys, valid
from .._record import AnnDatas, each, plain
from .._types import check_types
from ..nn import FUSIONS, Model, TrainConfig
from ._collapse import warn_of_collapse
from ._embed import write_vectors
from ._fusion_data import Vectors, check_region_rep, fusion_data, regions
from ._fusion_genes import FusionGenes, check_trained_further
from ._held_out import held_out_of
from ._loaders import gather, take
from ._made_by import made_by

_READ = {"image", "genes", "pathways"}


def fuse(
    adatas: AnnDatas,
    config: Any,
    *,
    image_rep: str = Keys.X_IMAGE,
    gene_rep: str = Keys.X_GENES,
    pathway_rep: str = Keys.SCORES,
    region_rep: str | None = None,
    gene_model: Model | None = None,
    layer: str | None = None,
    tiles_key: str = Keys.TILES,
    library_key: str = Keys.LIBRARY_ID,
    train: TrainConfig | None = None,
    key_added: str = Keys.X_FUSED,
    device: str | None = None,
) -> Model:
    """Train a fusion model on sections, and embed them.

    Spots that lack a modality do not train, but are embedded like the others (see :func:`embed`). With five sections
    or more, whole sections are held out to stop early by; with fewer, blocks of neighbouring spots of each.

    Parameters
    ----------
    adatas
        A section, or a list of them.
    config
        Which model, and its options: an instance such as ``hs.nn.Contrastive()``.
    image_rep, gene_rep
        Slots with image and gene vectors; of a model that learns from pixels the first is not read, with ``gene_model``
        the second is not.
    pathway_rep
        Slot with pathway scores; may be missing where the model does not read them.
    region_rep
        Slot with image vectors of the regions around the tiles, such as ``"X_image_x3"``; None does without.
    gene_model
        A gene encoder from :func:`pretrain_genes`, to be trained further as a part of the model: raw counts are read in
        the place of gene vectors. It is copied, and stays what it was; ``trunk=`` of the options is the image's alone, and
        ``trunk_rate=0`` leaves the genes' as it is, too. None takes the vectors of ``gene_rep``.
    layer
        Layer with raw counts, for ``gene_model``.
    tiles_key
        Slot with the tiles, for a model that learns from pixels.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several.
    train
        Options of training; the defaults of :class:`hs.nn.TrainConfig` where left out.
    key_added
        Slot to write.
    device
        Name of a torch device.

    Returns
    -------
    The model. Writes into each section ``obsm["X_fused"]``, both modalities in one vector, ``obsm["X_fused_image"]``
    and ``obsm["X_fused_genes"]``, either in the joint space, all float32, and their ``obs["<key>_valid"]``.

    Raises
    ------
    MissingError
        A slot is missing; the message names the call that fills it.
    OptionError
        ``config`` is no fusion model, ``gene_model`` no gene encoder that it can train, or vectors do not fit together.
    CountsError, GenesError
        Of ``gene_model``: no raw counts, or hardly any of genes that it knows.
    TrainingError
        The loss is no longer a number.

    Warns
    -----
    UserWarning
        The joint-space vectors of a modality are all but the same; the message says what that comes of.

    Examples
    --------
    >>> model = hs.tl.fuse(adata, hs.nn.Contrastive())
    >>> hs.tl.domains_leiden(adata)

    With a gene encoder that is trained further, by a tenth of the learning rate of the rest:

    >>> genes = hs.tl.pretrain_genes(adata, hs.nn.GeneEncoder.tiny())
    >>> model = hs.tl.fuse(adata, hs.nn.Contrastive(trunk_rate=0.1), gene_model=genes)
    """
    check_types(fuse, locals())
    sections, train = each(adatas), TrainConfig() if train is None else train
    reads = _reads(config)
    check_region_rep(config, sections, region_rep)
    check_trained_further(config, gene_model)
    slots = {
        "image": Keys.X_IMAGE.renamed(image_rep),
        "genes": Keys.X_GENES.renamed(gene_rep),
        "pathways": Keys.SCORES.renamed(pathway_rep),
    }
    from_pixels = getattr(config, "reads_pixels", False)
    made_within = {"image": from_pixels, "genes": gene_model is not None}
    slots = {name: slots[name] for name in reads if not made_within.get(name)}
    region = None if region_rep is None else Keys.X_IMAGE.renamed(region_rep)
    if region is not None:
        slots["region"] = region
    batch = gather(sections, slots, library_key=library_key)
    regions(config, batch, sections, region, library_key)
    meta: dict[str, Any] = {
        "sizes": {name: batch[name].shape[1] for name in slots},
        "slots": {name: str(slot) for name, slot in slots.items()},
        "encoders": {name: made_by(sections, slot) for name, slot in slots.items()},
        "train": plain(train),
    }
    genes = None
    if from_pixels:
        meta["tiles"] = str(tiles_key)
    if gene_model is not None:
        genes = FusionGenes(sections, gene_model, layer=layer, library_key=library_key, device=device)
        batch |= {"genes": genes.before, "genes_valid": genes.there}
        meta["counts"], meta["sizes"]["genes"] = layer, gene_model.config.dim
        meta["encoders"]["genes"] = gene_model.sha256
    options: dict[str, Any] = {"tiles_key": tiles_key, "library_key": library_key, "random_state": train.random_state}
    with fusion_data(config, batch, sections, genes, **options) as data:
        model = _trained(data, meta, sections, train, device, library_key=library_key)
    write_vectors(sections, model, batch, "both", Keys.X_FUSED.renamed(key_added), by="tl.fuse", device=device)
    return model


def _reads(config: Any) -> Sequence[str]:
    if isinstance(config, type) or not hasattr(config, "build") or not set(getattr(config, "reads", "?")) <= _READ:
        fix = "Pass an instance, such as hs.nn.Contrastive()."
        raise OptionError("config", found=repr(config), expected=f"one of {list(FUSIONS)}, with its options", fix=fix)
    return config.reads


def _trained(
    data: Vectors,
    meta: dict[str, Any],
    adatas: Sequence[AnnData],
    train: TrainConfig,
    device: str | None,
    *,
    library_key: str,
) -> Model:
    from ..nn._fit import fit

    batch = data.batch
    rows = torch.stack([batch[f"{name}_valid"] for name in data.reads]).all(dim=0).numpy()
    if rows.sum() < 8:
        flags = [f"obs[{str(valid(slot))!r}]" for slot in meta["slots"].values()]
        flags += [name for name in ("tiles", "counts") if name in meta]
        fix = f"Check {' and '.join(flags)}."
        raise OptionError("adatas", found=f"{rows.sum()} spots with {data.reads}", expected="8 or more", fix=fix)
    section, fraction = batch["section"].numpy(), train.val_fraction
    out = held_out_of(adatas, section, rows, fraction, train.random_state, library_key=library_key)
    model = data.model({**meta, "n_train": int((rows & ~out).sum()), "n_val": int(out.sum())}, train.random_state)
    model.module.start(take(batch, ~out))
    val = data.serve(out) if out.any() else None
    model.history = fit(model.module, data.serve(rows & ~out), train, val=val, device=device)
    data.finish(model, device)
    model.module.finish(take(batch, ~out))
    warn_of_collapse(model, take(batch, rows & ~out))
    return model
