"""The spatially aware gene encoder: a transformer over a spot's genes that also learns from its neighbours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..._checks import check, is_count, is_number, to_python
from ._token_transformer import TokenTransformer

CONTEXTS = ("cgr", "set", None)
STARTS = ("linear", "random")


@dataclass(frozen=True, kw_only=True)
class GeneEncoder:
    """Transformer over the genes of a spot, the most unusually expressed first.

    It learns to name genes that were hidden from it, from the other genes of the spot (intrinsic reconstruction, IGR) and
    from its neighbours (contextual reconstruction, CGR), so that a spot's vector knows what tissue it stands in.

    Parameters
    ----------
    dim
        Width of the tokens and of the vector.
    depth
        Number of transformer blocks.
    heads
        Attention heads of a block.
    hidden
        Width of the hidden layer of a block's perceptron.
    n_tokens
        Most genes read of a spot.
    mask_fraction
        Share of the genes that is hidden in training: 80 % by a mask, 10 % by another gene, 10 % not at all.
    context
        What neighbours predict: ``"cgr"``, the centre's gene at each rank from the neighbours' states at that rank, as
        the reference has it; ``"set"``, which genes are among the first of each spot of the group, from the vectors of
        the others, which costs less; None, nothing.
    set_size
        How many of a spot's first genes are the set.
    group_size
        Spots of a neighbourhood, the centre included.
    max_extent_um
        Largest distance between two spots of a neighbourhood, um: spots within half of it of another one are its
        neighbours. None takes six times the distance between neighbouring spots, and 300 at least.
    overlap
        Whether every spot is the centre of a neighbourhood in each epoch; else the spots are shared out, so that each is
        read once.
    intrinsic_share
        Share of the epochs, the first ones, that learn from the spot itself alone.
    start
        What training starts from: ``"linear"``, vectors of genes that go together in spots or, with a context, in
        neighbouring spots, found without training; or ``"random"``, as the reference does, which takes many more steps.
    dropout
        Share of attention weights and of outputs dropped in training.

    Raises
    ------
    OptionError
        A value that is not allowed, naming the field.

    References
    ----------
    "Fusing Pixels and Genes: Spatially-Aware Learning in Computational Pathology", ICLR 2026, arXiv:2602.13944.

    Examples
    --------
    >>> hs.nn.GeneEncoder.tiny(context="set").dim
    64
    """

    reads: ClassVar = ("tokens",)

    dim: int = 512
    depth: int = 12
    heads: int = 16
    hidden: int = 1024
    n_tokens: int = 1500
    mask_fraction: float = 0.15
    context: str | None = "cgr"
    set_size: int = 256
    group_size: int = 9
    max_extent_um: float | None = None
    overlap: bool = False
    intrinsic_share: float = 0.5
    start: str = "linear"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        to_python(self)
        for name in ("dim", "depth", "heads", "hidden", "n_tokens", "set_size"):
            value = getattr(self, name)
            check(f"GeneEncoder.{name}", value, is_count(value), "a whole number, 1 or more")
        divides, fix = self.dim % self.heads == 0, "Leave it out, or choose a dim that it divides."
        check("GeneEncoder.heads", self.heads, divides, f"a divisor of dim, {self.dim}", fix=fix)
        share = self.mask_fraction
        check("GeneEncoder.mask_fraction", share, is_number(share, 0.01, 0.9), "a share from 0.01 to 0.9")
        check("GeneEncoder.context", self.context, self.context in CONTEXTS, f"one of {CONTEXTS}")
        check("GeneEncoder.group_size", self.group_size, is_count(self.group_size, 2), "a whole number, 2 or more")
        extent = self.max_extent_um
        check("GeneEncoder.max_extent_um", extent, extent is None or is_number(extent, 1), "um, 1 or more, or None")
        check("GeneEncoder.overlap", self.overlap, isinstance(self.overlap, bool), "True or False")
        first = self.intrinsic_share
        check("GeneEncoder.intrinsic_share", first, is_number(first, 0, 1), "a share from 0 to 1")
        check("GeneEncoder.start", self.start, self.start in STARTS, f"one of {STARTS}")
        check("GeneEncoder.dropout", self.dropout, is_number(self.dropout, 0, 0.9), "a share from 0 to 0.9")

    @classmethod
    def tiny(cls, **options: Any) -> "GeneEncoder":
        """Two blocks of width 64, for laptops and tests."""
        return cls(**{"dim": 64, "depth": 2, "heads": 4, "hidden": 128, **options})

    @classmethod
    def small(cls, **options: Any) -> "GeneEncoder":
        """Six blocks of width 256."""
        return cls(**{"dim": 256, "depth": 6, "heads": 8, "hidden": 512, **options})

    def build(self, sizes: Mapping[str, int]) -> TokenTransformer:
        """Make the module for a vocabulary of this many ``tokens``, the reserved ones included."""
        return TokenTransformer(self, sizes["tokens"])
