"""The transformer block that all token models share."""

from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Attention, then a two-layer perceptron, each normalised before and added to its input (Xiong et al. 2020).

    Parameters
    ----------
    dim
        Width of the tokens.
    heads
        Number of attention heads.
    hidden
        Width of the perceptron's hidden layer.
    dropout
        Share of attention weights and of outputs dropped in training.
    """

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.drop = nn.Dropout(dropout)

    def start_as_identity(self) -> None:
        """Add nothing to the input at first, so that depth costs no steps (Zhang et al. 2019, Fixup)."""
        for last in (self.out, self.mlp[-1]):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """Transform tokens (b, l, dim); those where ``real`` (b, l) is False are not attended to.

        A sequence without any real token has no defined attention: leave it out before.
        """
        x = x + self.drop(self._attend(self.norm1(x), real))
        return x + self.drop(self.mlp(self.norm2(x)))

    def _attend(self, x: Tensor, real: Tensor | None) -> Tensor:
        b, l, d = x.shape
        q, k, v = (
            self.qkv(x).view(b, l, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        )  # each b heads l d/heads
        mask = None if real is None else real[:, None, None, :]
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return self.out(mixed.transpose(1, 2).reshape(b, l, d))
