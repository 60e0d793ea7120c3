import torch

from histoscribe.nn.layers.attention import Block


def _by_hand(block: Block, x: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """One sequence (l, d), head by head and token by token."""
    h, (length, d) = block.heads, x.shape
    q, k, v = block.qkv(block.norm1(x)).split(d, dim=-1)
    mixed = torch.zeros_like(x)
    for head in range(h):
        own = slice(head * d // h, (head + 1) * d // h)
        for i in range(length):
            weights = torch.stack([q[i, own] @ k[j, own] / (d // h) ** 0.5 for j in range(length)])
            weights = weights.masked_fill(~real, float("-inf")).softmax(0)
            mixed[i, own] = sum((w * v[j, own] for j, w in enumerate(weights)), torch.zeros(d // h))
    x = x + block.out(mixed)
    return x + block.mlp(block.norm2(x))


def test_block_is_attention_by_hand() -> None:
    torch.manual_seed(0)
    block, x = Block(12, 3, 20).eval(), torch.randn(2, 5, 12)
    real = torch.tensor([[True] * 5, [True, True, True, False, False]])
    found = block(x, real)
    for i in range(2):
        torch.testing.assert_close(found[i], _by_hand(block, x[i], real[i]))


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    block, x = Block(8, 2, 16).eval(), torch.randn(1, 6, 8)
    real = torch.tensor([[True] * 4 + [False] * 2])
    torch.testing.assert_close(block(x, real)[:, :4], block(x[:, :4]))
    moved = x.clone()
    moved[:, 4:] = 99
    torch.testing.assert_close(block(moved, real)[:, :4], block(x, real)[:, :4])
