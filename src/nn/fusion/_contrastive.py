"""Image and genes in one space by contrast, at two scales, and one vector of both."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from ..._checks import check, is_count, is_number, to_python
from .._config import LATER, default_of

LOSSES = ("patch_spot", "region_spot", "patch_region", "position")
MODES, TRUNKS = ("cached", "pixels"), ("frozen", "lora", "full")
_PIXELS_ALONE = ("encoder", "encoder_options", "pretrained", "trunk", "lora_rank", "augment")


@dataclass(frozen=True, kw_only=True)
class Contrastive:
    """Joint space of image and genes: of vectors that were computed before, or learned from pixels.

    Image and genes of a spot are brought together by contrast (symmetric InfoNCE, Radford et al. 2021) at two scales: the
    *patch*, a spot's tile, and the *region*, three tiles by three. Up to four losses are added up: ``"patch_spot"`` and
    ``"region_spot"``, image and genes; ``"patch_region"``, each patch finds the region that holds it; and
    ``"position"``, a patch is placed in the right ninth of its region (from pixels only).

    That space keeps what the modalities share, so the fused vector is not taken from it: it is made of both *whitened
    inputs*, side by side, and holds what either knows alone too. Where a spot lacks one modality, its half is predicted
    from the joint-space vector of the other.

    Where :func:`hs.tl.fuse` is given a gene encoder (``gene_model=``), that is trained further with the rest, as the
    reference does; else gene vectors are taken as they are.

    Parameters
    ----------
    mode
        ``"cached"`` trains small heads on vectors that :func:`hs.tl.encode_image` wrote: minutes on a laptop.
        ``"pixels"`` trains on the tiles themselves, through a vision transformer that reads patch and region alike,
        told apart by one more token: a learned one, or the patch itself in small.
    losses
        Some of the four; None takes all that the input allows: of vectors the first, and with ``region_rep=`` the first
        three; of pixels all.
    dim
        Width of the joint space.
    hidden
        Width of the hidden layer of each head; 0 makes the heads linear, as the reference has them.
    dropout
        Share of hidden units dropped in training.
    temperature
        Of the contrasts, at the start; one for all, learned from there.
    image_weight
        Weight of the image in the fused vector, from 0 (genes alone) to 1 (image alone).
    n_whiten
        Most components of each modality in the fused vector.
    unit_length
        Whether fused vectors have length one, so that only their direction counts; False keeps how far a spot is from the
        usual one, which may tell regions apart where few spots differ much from the rest.
    max_overlap
        Spots of one section whose patches (or regions, where these are compared) overlap by more than this share are no
        negatives of each other: they show the same tissue.
    gather_negatives
        Whether the spots of all processes of a distributed run are negatives of each other.
    encoder
        From pixels: the vision transformer, by any name that :func:`hs.nn.load_encoder` takes.
    encoder_options
        From pixels: options of a network of timm, such as ``{"img_size": 112}``.
    pretrained
        From pixels: False starts ``encoder``, a name of timm, with random weights.
    trunk
        From pixels: ``"frozen"`` leaves the vision transformer's weights alone, ``"lora"`` adds low-rank ones to its
        linear layers (Hu et al. 2021), ``"full"`` trains all.
    trunk_rate
        Learning rate of the trunk, and of a gene encoder that is trained further, as a share of that of the rest.
    layer_decay
        Each layer of these learns by this factor slower than the one above it.
    lora_rank
        Rank of the added weights.
    private_weight
        From pixels: weight of one more loss, ``"private"``, that asks for a small picture of each patch back from its
        vector (mean squared error), so that the trunk keeps what genes do not know; 0 does without.
    augment
        From pixels: whether patch and region are mirrored and turned at random, together; tissue has no up.

    Raises
    ------
    OptionError
        A value that is not allowed, naming the field.

    References
    ----------
    "Fusing Pixels and Genes: Spatially-Aware Learning in Computational Pathology", ICLR 2026, arXiv:2602.13944.

    Examples
    --------
    >>> model = hs.tl.fuse(adata, hs.nn.Contrastive(dim=64))

    From pixels, with a small vision transformer that learns nothing but this:

    >>> config = hs.nn.Contrastive(mode="pixels", encoder="vit_tiny_patch16_224", pretrained=False, trunk="full")
    >>> model = hs.tl.fuse(adata, config, train=hs.nn.TrainConfig(epochs=30, batch_size=64, lr=3e-4))
    """

    reads: ClassVar = ("image", "genes")

    mode: str = field(default="cached", metadata=LATER)
    losses: tuple[str, ...] | None = field(default=None, metadata=LATER)
    dim: int = 128
    hidden: int = 256
    dropout: float = 0.1
    temperature: float = 0.07
    image_weight: float = 0.5
    n_whiten: int = 32
    unit_length: bool = field(default=True, metadata=LATER)
    max_overlap: float = 0.1
    gather_negatives: bool = field(default=True, metadata=LATER)
    encoder: str = field(default="kaiko_s16", metadata=LATER)
    encoder_options: Mapping[str, Any] = field(default_factory=dict, hash=False, metadata=LATER)
    pretrained: bool = field(default=True, metadata=LATER)
    trunk: str = field(default="frozen", metadata=LATER)
    trunk_rate: float = field(default=0.1, metadata=LATER)
    layer_decay: float = field(default=0.75, metadata=LATER)
    lora_rank: int = field(default=8, metadata=LATER)
    private_weight: float = field(default=0.0, metadata=LATER)
    augment: bool = field(default=True, metadata=LATER)

    def __post_init__(self) -> None:
        to_python(self)
        check("Contrastive.mode", self.mode, self.mode in MODES, f"one of {MODES}")
        self._check_losses()
        for name, least in (("dim", 2), ("hidden", 0), ("n_whiten", 1), ("lora_rank", 1)):
            value = getattr(self, name)
            check(f"Contrastive.{name}", value, is_count(value, least), f"a whole number, {least} or more")
        for name in ("image_weight", "max_overlap", "trunk_rate", "layer_decay"):
            value = getattr(self, name)
            check(f"Contrastive.{name}", value, is_number(value, 0, 1), "a number from 0 to 1")
        check("Contrastive.dropout", self.dropout, is_number(self.dropout, 0, 0.99), "a share below 1")
        check("Contrastive.temperature", self.temperature, is_number(self.temperature, 0.01, 10), "from 0.01 to 10")
        weight = self.private_weight
        alone = is_number(weight, 0) and (self.mode == "pixels" or not weight)
        check("Contrastive.private_weight", weight, alone, "0 or more; 0 with mode='cached', which trains no trunk")
        for name in ("unit_length", "gather_negatives", "pretrained", "augment"):
            value = getattr(self, name)
            check(f"Contrastive.{name}", value, isinstance(value, bool), "True or False")
        named = isinstance(self.encoder, str) and bool(self.encoder)
        check("Contrastive.encoder", self.encoder, named, "a name that hs.nn.load_encoder takes")
        options = self.encoder_options
        named = isinstance(options, Mapping) and all(isinstance(name, str) for name in options)
        check("Contrastive.encoder_options", options, named, "a dict of options")
        check("Contrastive.trunk", self.trunk, self.trunk in TRUNKS, f"one of {TRUNKS}")
        if not self.reads_pixels:
            self._check_no_pixels()

    def _check_no_pixels(self) -> None:
        """Refuse options that say how pixels are read where none are: whoever sets them expects a network to be trained."""
        for option in fields(self):
            value, fix = getattr(self, option.name), "Pass mode='pixels', or leave it out."
            ok = option.name not in _PIXELS_ALONE or value == default_of(option)
            check(f"Contrastive.{option.name}", value, ok, "no such option with mode='cached'", fix=fix)

    def _check_losses(self) -> None:
        if self.losses is None:
            return
        some = (
            isinstance(self.losses, list | tuple) and bool(self.losses) and all(name in LOSSES for name in self.losses)
        )
        check("Contrastive.losses", self.losses, some, f"None, or some of {LOSSES}")
        placed = "position" not in self.losses or self.mode == "pixels"
        fix = "Pass mode='pixels': vectors do not say where in a region anything lies."
        check("Contrastive.losses", self.losses, placed, "no 'position' in mode='cached'", fix=fix)
        object.__setattr__(self, "losses", tuple(name for name in LOSSES if name in self.losses))

    @property
    def reads_pixels(self) -> bool:
        """Whether it learns from tiles, not from vectors of them."""
        return self.mode == "pixels"

    @property
    def asks_for_regions(self) -> bool:
        """Whether a loss was asked for that regions are needed for."""
        return self.losses is not None and set(self.losses) != {"patch_spot"}

    def build(self, sizes: Mapping[str, int], *, trunk: Any = None, gene_encoder: Any = None) -> Any:
        """Make the module for inputs of these widths: ``image``, ``genes`` and, where there are regions, ``region``.

        From pixels for ``genes``, with a network for ``trunk`` or its blueprint. ``gene_encoder`` describes the one that
        is trained further, where there is one.
        """
        from ._contrastive_module import ContrastiveModule
        from ._pixel_contrastive import PixelContrastive

        if self.reads_pixels:
            return PixelContrastive(self, sizes, trunk, gene_encoder)
        return ContrastiveModule(self, sizes, gene_encoder)
