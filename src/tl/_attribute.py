"""Attribution: which pixels and which genes pull a spot's image and genes together."""

from typing import Any, Literal

import numpy as np
from anndata import AnnData
from torch import Tensor

from .._attribution import METHODS, Attribution
from .._checks import check, is_count
from .._errors import MissingError, OptionError
from .._keys import Keys, Slot
from .._record import each
from .._sections import sections
from .._types import check_types
from .._warn import warn
from ..nn import Contrastive, Model
from ..nn._redrawn import redrawn
from ..nn.fusion._joint import Joint
from ..nn.image._squares import Squares
from ._attribute_genes import by_other_weights, check_gene_model, genes_of
from ._attribute_image import Place, encoder_for, squares_of, tiles_slot
from ._attribute_result import attribution
from ._embed import check_encoder, put_vectors, slots_of
from ._fusion_genes import vectors_of_counts
from ._loaders import gather

_SAME = 1e-3  # by which a joint-space vector may differ from the one of the slot, in cosine


def attribute(
    adata: AnnData,
    model: Model,
    spot: str,
    *,
    encoder: Any = None,
    gene_model: Model | None = None,
    method: Literal["occlusion", "gradient"] = "occlusion",
    n_patches: int = 14,
    tiles_key: str | None = None,
    layer: str | None = None,
    library_key: str = Keys.LIBRARY_ID,
    device: str | None = None,
    random_state: int = 0,
) -> Attribution:
    """Tell which pixels and which genes pull a spot's image and genes together.

    What is taken apart is the cosine of the spot's image and its genes in the joint space of a fusion model. It says
    what this model goes by in this spot, and nothing of causes in the tissue.

    Whether it says even that is checked: the same is done with the model's weights drawn anew, and both are compared
    by rank (Adebayo et al. 2018). A map that stays the same shows what the tile is like, not what was learned.

    Parameters
    ----------
    adata
        The section, or several under ``library_key``.
    model
        From :func:`fuse` with :class:`hs.nn.Contrastive`.
    spot
        Name of the spot, as in ``obs_names``.
    encoder
        For a model that was trained on vectors: the encoder that made ``obsm["X_image"]``, by name or as an object.
        A model that learned from pixels has its own.
    gene_model
        The model that wrote ``obsm["X_genes"]``, from :func:`fit_pca` or :func:`pretrain_genes`. None says what the
        columns of ``obsm["X_genes"]`` do, against their training mean, instead of genes. A model with a gene encoder of
        its own needs none.
    method
        ``"occlusion"``: by how much the cosine falls where a square of the tile takes the tile's mean colour; where a
        gene of principal components takes its training mean, or where one of the first 128 genes that a token model
        reads was not there, so that those behind move up. ``"gradient"``: the gradient times the input, which is
        quicker and true for small changes alone; of pixels less the mean colour, summed over channels and squares, of
        genes less their training mean, of all tokens by their embedding.
    n_patches
        Squares a side of the tile.
    tiles_key
        Slot with the tiles; None takes the one that the model, or the record of ``obsm["X_image"]``, names.
    layer
        Layer with raw counts, for a model with a gene encoder of its own; that of training where left out.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several.
    device
        Name of a torch device.
    random_state
        Seed of the weights that are drawn anew.

    Returns
    -------
    An :class:`Attribution`; nothing is written into ``adata``.

    Raises
    ------
    MissingError
        No spot of that name, or a slot is missing.
    CountsError
        Of a model with a gene encoder of its own: no raw counts.
    OptionError
        The spot has no image or no genes; another encoder or gene model than in training; vectors that were mapped to
        another stain; ``method="gradient"`` with an encoder that gradients do not pass.
    GenesError
        The section has no gene of ``gene_model``.

    Warns
    -----
    UserWarning
        Sixteen numbers or more are like those of random weights (rank correlation beyond 0.8, of either sign); or vectors
        in ``obsm`` are not what their encoder makes of tile or counts now.

    References
    ----------
    Zeiler and Fergus 2014, arXiv:1311.2901 (occlusion); Shrikumar et al. 2017, arXiv:1704.02685 (gradient times input);
    Adebayo et al. 2018, "Sanity checks for saliency maps", arXiv:1810.03292.

    Examples
    --------
    >>> pca = hs.tl.fit_pca(adata)
    >>> hs.tl.encode_genes(adata, pca)
    >>> model = hs.tl.fuse(adata, hs.nn.Contrastive())
    >>> found = hs.tl.attribute(adata, model, adata.obs_names[0], encoder="stain_stats", gene_model=pca)
    >>> hs.pl.attribution(found)
    """
    check_types(attribute, locals())
    check("method", method, method in METHODS, f"one of {METHODS}")
    check("n_patches", n_patches, is_count(n_patches), "a whole number, 1 or more")
    _check_section(adata)
    _check_model(model)
    check_gene_model(model, gene_model)
    place, slots = _place(adata, spot, library_key), slots_of(model, layer)
    vectors = slots.get("image")  # none of a model that learned from pixels
    v, x = _vectors(adata, model, place, slots, library_key, device)
    try:
        own = encoder_for(adata, model, vectors, encoder, device)
        _check_method(method, own)
        tiles = tiles_slot(adata, model, vectors, tiles_key)
        squares = squares_of(adata, place, own, tiles=tiles, library_key=library_key, n_patches=n_patches)
        read = slots["counts" if "counts" in slots else "genes"]
        genes = genes_of(adata, place, x, model, gene_model, slot=read, library_key=library_key, device=device)
        joint, anew = Joint(model.module), redrawn(model, random_state)
        if v is not None:
            _check_vector(joint, v, squares, vectors)
        other = squares if v is not None else Squares(anew.encoder(device), squares.tile, n_patches)
        found = joint.attributed(squares, genes.parts, method)
        random = Joint(anew).attributed(other, by_other_weights(genes.parts, model, anew), method)
        cosine = float(joint.cosine(squares.whole[None], x[None]))
    finally:
        for one in (model, gene_model):
            if one is not None:
                one.module.cpu()
    return attribution(place, cosine, method, squares, genes, found, random)


def _check_section(adata: AnnData) -> None:
    each(adata)
    if not isinstance(adata, AnnData):
        fix = "Pass the section that the spot is of."
        raise OptionError("adata", found=type(adata).__name__, expected="one AnnData", fix=fix)


def _check_model(model: Model) -> None:
    if not isinstance(model.config, Contrastive):
        fix = "Pass what hs.tl.fuse returned for hs.nn.Contrastive()."
        raise OptionError("model", found=model.name, expected="a fusion model with a joint space", fix=fix)


def _check_method(method: str, encoder: Any) -> None:
    if method == "gradient" and not (hasattr(encoder, "pixels") and hasattr(encoder, "embed")):
        found = f"'gradient' with {encoder.name}, which gradients do not pass"
        fix = "Pass method='occlusion'."
        raise OptionError("method", found=found, expected="'occlusion', or an encoder that is a network", fix=fix)


def _place(adata: AnnData, spot: str, library_key: str) -> Place:
    rows = np.flatnonzero(adata.obs_names == spot)
    if len(rows) != 1:
        found = f"{spot!r}, the name of {len(rows)} spots"
        expected = f"a name that is in obs_names once, such as {adata.obs_names[0]!r}"
        fix = "Pass one of adata.obs_names." if not len(rows) else "Run adata.obs_names_make_unique() first."
        raise (OptionError if len(rows) else MissingError)("spot", found=found, expected=expected, fix=fix)
    row = int(rows[0])
    return Place(spot, row, next(name for name, own in sections(adata, library_key).items() if row in own))


def _vectors(
    adata: AnnData, model: Model, place: Place, slots: dict[str, Slot], library_key: str, device: str | None
) -> tuple[Tensor | None, Tensor]:
    """Vectors of a spot's image, where they were computed before, and of its genes."""
    read: dict[str, Slot | None] = {name: slot for name, slot in slots.items() if name in ("image", "genes")}
    batch = gather([adata], read, sizes=model.meta["sizes"], library_key=library_key, places=False)
    if "counts" in slots:
        made = vectors_of_counts([adata], model, slots["counts"], library_key=library_key, device=device)
        put_vectors(batch, "genes", model.meta["sizes"]["genes"], made)
        read["genes"] = slots["counts"]
    for name, slot in read.items():
        if slot is None:
            continue
        if name in model.meta["slots"]:
            check_encoder([adata], model, name, slot)
        if not batch[f"{name}_valid"][place.row]:
            found = f"{place.spot!r} without a vector in obsm[{str(slot)!r}]"
            fix = f"Take a spot for which obs['{slot}_valid'] is True."
            if slot.where == Keys.COUNTS.where:
                found, fix = f"{place.spot!r} without counts of genes that the model knows", "Take one with counts."
            raise OptionError("spot", found=found, expected="one with an image and genes", fix=fix)
    return batch["image"][place.row] if "image" in read else None, batch["genes"][place.row]


def _check_vector(joint: Joint, v: Tensor, squares: Squares, slot: Slot | None) -> None:
    """Refuse an encoder whose vectors are of another width; warn where it makes another vector of the tile."""
    if squares.whole.shape != v.shape:
        found, fix = f"vectors of {len(squares.whole)} numbers", f"Pass the encoder that made obsm[{str(slot)!r}]."
        raise OptionError("encoder", found=found, expected=f"{len(v)}, as in training", fix=fix)
    off = 1 - float((joint.image(v[None].double()) * joint.image(squares.whole[None].double())).sum())
    if off > _SAME:
        msg = (
            f"obsm[{str(slot)!r}] is not what {squares.encoder.name} makes of the tile that there is: their cosine in "
            f"the joint space is {1 - off:.3f}; run hs.tl.encode_image(adata, ...) again"
        )
        warn(msg)
