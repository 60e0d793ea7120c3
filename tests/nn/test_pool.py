import pytest
import torch

from histoscribe.nn.layers import grid_pool


@pytest.mark.parametrize("side", [3, 6, 7, 14, 16])
def test_token_of_a_cell_alone_lands_in_that_cell_and_channel(side: int) -> None:
    step = side // 3
    for cell in range(9):
        # The first row and column of a cell belong to it alone, but for what the window before it reaches over.
        row, column = (k * step + (side - 3 * step if k else 0) for k in divmod(cell, 3))
        tokens = torch.zeros(1, side, side, 5)
        tokens[0, row, column, 3] = 1.0
        found = grid_pool(tokens.reshape(1, -1, 5))
        assert found.shape == (1, 9, 5)
        assert found[0].nonzero().tolist() == [[cell, 3]]


def test_windows_are_those_of_a_loop() -> None:
    tokens = torch.randn(2, 14, 14, 4, generator=torch.Generator().manual_seed(0))
    windows = [tokens[:, y : y + 6, x : x + 6].mean(dim=(1, 2)) for y in (0, 4, 8) for x in (0, 4, 8)]
    torch.testing.assert_close(grid_pool(tokens.reshape(2, -1, 4)), torch.stack(windows, dim=1))
