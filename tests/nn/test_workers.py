"""Worker processes: what they draw, and how they start."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from histoscribe.nn import TrainConfig
from histoscribe.nn._data import Batch, Rows
from histoscribe.nn._fit import fit

ROOT = Path(__file__).resolve().parents[2]


class Noisy(Rows):
    """Rows with a number drawn from numpy's global state: what an augmentation of others' code may do."""

    def __getitem__(self, index: Tensor) -> Batch:
        drawn = torch.from_numpy(np.random.random(len(index)))  # noqa: NPY002
        return {**super().__getitem__(index), "drawn": drawn}


class Net(nn.Module):
    """Linear regression that remembers what was drawn for it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3, 1)
        self.drawn: list[Tensor] = []

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        self.drawn.append(batch.get("drawn", torch.zeros(0)))
        return {"loss": ((self.linear(batch["x"])[:, 0] - batch["x"].sum(dim=1)) ** 2).mean()}


def data() -> dict[str, Tensor]:
    """Return forty rows."""
    return {"x": torch.randn(40, 3, generator=torch.Generator().manual_seed(1))}


def trained(rows: Any, workers: int, epochs: int = 3) -> Net:
    """Train a little."""
    options: dict[str, Any] = {"epochs": epochs, "num_workers": workers}
    net, config = Net(), TrainConfig(batch_size=8, accelerator="cpu", val_fraction=0, **options)
    fit(net, rows, config)
    return net


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_draws_in_workers_are_never_repeated(workers: int) -> None:
    drawn = torch.cat(trained(Noisy(data()), workers).drawn)
    assert len(drawn) == 3 * 40
    assert len(drawn.unique()) == len(drawn)


SPAWNED = """
import multiprocessing
from tests.nn.test_workers import data, trained

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    print(trained(data(), 1, 1).linear.weight.tolist())
"""


@pytest.mark.weekly
def test_spawned_workers_train_the_same(tmp_path: Path) -> None:
    script = tmp_path / "spawned.py"
    script.write_text(SPAWNED)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    np.testing.assert_array_equal(
        np.array(json.loads(done.stdout)), trained(data(), 0, 1).linear.weight.detach().numpy()
    )
