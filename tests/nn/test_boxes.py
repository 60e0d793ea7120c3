import numpy as np
import torch

from histoscribe.nn.layers import overlap


def test_overlap_is_that_of_counted_pixels() -> None:
    rng = np.random.default_rng(0)
    boxes = np.column_stack([rng.integers(-5, 20, (12, 2)), rng.integers(1, 15, (12, 2))])
    section = rng.integers(0, 2, 12)
    expected = np.zeros((12, 12))
    canvas = np.zeros((12, 60, 60), dtype=bool)
    for i, (x, y, w, h) in enumerate(boxes + np.array([10, 10, 0, 0])):
        canvas[i, y : y + h, x : x + w] = True
    for i in range(12):
        for j in range(12):
            if section[i] == section[j]:
                expected[i, j] = (canvas[i] & canvas[j]).sum() / min(canvas[i].sum(), canvas[j].sum())
    found = overlap(torch.from_numpy(boxes).double(), torch.from_numpy(section))
    np.testing.assert_allclose(found, expected)


def test_unknown_boxes_overlap_nothing() -> None:
    boxes = torch.tensor([[0.0, 0, 2, 2], [float("nan")] * 4])
    assert overlap(boxes, torch.zeros(2, dtype=torch.int64)).tolist() == [[1, 0], [0, 0]]
