import numpy as np
import pytest
import torch

from histoscribe.nn.fusion._pixel_rows import TURNED, turned

from .painted import CELL, SIZE, rows


def test_patch_lies_in_the_cell_that_is_said_after_any_turn() -> None:
    served = rows(60, augment=True)
    epoch = [0]
    for epoch[0] in range(3):
        for asked in served.batches(30, 0, lambda: epoch[0]):
            batch = served[asked]
            for patch, region, cell in zip(batch["patch"], batch["region"], batch["cell"].tolist(), strict=True):
                y, x = (CELL * k for k in divmod(cell, 3))
                assert (region[y : y + CELL, x : x + CELL] == patch[0, 0]).all()


def test_region_boxes_hold_the_patch_in_the_cell_before_the_turn() -> None:
    served = rows(60)
    asked = next(iter(served.batches(60, 0, None)))
    batch = served[asked]
    (x, y, w, h), (rx, ry, rw, rh) = batch["boxes"].T, batch["region_boxes"].T
    down, right = np.divmod(batch["cell"].numpy(), 3)
    np.testing.assert_allclose((x - rx) / w, right)
    np.testing.assert_allclose((y - ry) / h, down)
    assert (rw == 3 * w).all()
    assert (rh == 3 * h).all()


def test_cells_and_turns_follow_from_seed_epoch_and_row_alone() -> None:
    def drawn(seed: int, epoch: int | None, size: int) -> dict[int, tuple[int, int]]:
        given = None if epoch is None else (lambda: epoch)
        found: dict[int, tuple[int, int]] = {}
        for index, cells, turns in rows(40, augment=True).batches(size, seed, given):
            found |= dict(zip(index.tolist(), zip(cells.tolist(), turns.tolist(), strict=True), strict=True))
        return found

    assert drawn(0, 1, 40) == drawn(0, 1, 7)
    assert drawn(0, 1, 40) != drawn(0, 2, 40)
    assert drawn(0, 1, 40) != drawn(1, 1, 40)
    assert {turn for _, turn in drawn(0, None, 40).values()} == {0}
    assert len({cell for epoch in range(3) for cell, _ in drawn(0, epoch, 40).values()}) == 9


def test_turns_are_the_eight_of_a_square() -> None:
    picture = np.arange(9).reshape(3, 3)
    assert len({turned(picture, turn).tobytes() for turn in range(8)}) == 8
    for turn in range(8):
        assert (turned(picture, turn).ravel()[TURNED[turn]] == picture.ravel()).all()


@pytest.mark.parametrize("change", ["genes", "boxes"])
def test_hash_is_of_all_that_is_served(change: str) -> None:
    first, second = rows(20), rows(20)
    assert first.sha256() == second.sha256()
    second.tensors[change] = second.tensors[change] + 1
    assert first.sha256() != second.sha256()
    assert first[next(iter(first.batches(20, 0, None)))]["patch"].shape == (20, SIZE, SIZE, 3)
    assert torch.equal(first.tensors["row"], torch.arange(20))
