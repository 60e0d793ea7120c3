"""The trainer.

*Killed and resumed*: training of a small gene encoder (two blocks, dropout, six epochs, a checkpoint after each) is killed (SIGKILL) 30
times, each time at a moment drawn uniformly over the time of a whole run; some runs end before theirs. Then it is resumed in a
process of its own, and its weights at the end are compared, bit for bit, with those of a run that nobody killed.

*Two processes*: the gene encoder trained by two processes (gloo) with half of each batch, and by one with all of it: the largest
difference of any loss of any of twelve epochs. Three of eight spots have no neighbour, so that some batches give one of the processes
no group with neighbours, or no group at all. At ten times the default learning rate the steps make much of rounding, which in float64
is not seen. *Each by its own count*: as it would be if each process divided by its own count of genes.
"""

import sys
import tempfile
import warnings
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.kill_writers import TRAINING, prepare
from tests.kills import kill

N_KILLS, EPOCHS = 30, 12
_ARITHMETIC = ((1e-3, "float32"), (1e-2, "float32"), (1e-2, "float64"))


def measure() -> dict[str, pd.DataFrame]:
    """Return a table of kills and one of processes."""
    prepare()
    return {"Killed and resumed": _kills(), "Two processes": _processes()}


def _kills() -> pd.DataFrame:
    rows = []
    for writer in TRAINING:
        with tempfile.TemporaryDirectory() as folder:
            found = kill(writer, Path(folder), N_KILLS)
        wrong = found.lost + found.unreadable + found.mixed
        rows.append(
            {
                "run": found.writer,
                "kills": found.kills,
                "before its end": found.inside,
                "same weights after resuming": found.kills - wrong,
                "litter": found.litter,
            }
        )
        print(rows[-1], found.says[:3], flush=True)
    return pd.DataFrame(rows)


def _processes() -> pd.DataFrame:
    place = "histoscribe.nn.genes._token_transformer.per_item"
    rows = []
    for context, (lr, dtype) in product(("cgr", "set", None), _ARITHMETIC):
        one, two = (_history(n, context, lr, dtype) for n in (1, 2))
        with mock.patch(place, lambda total, n: total / max(int(n), 1)):
            apart = _history(2, context, lr, dtype)
        rows.append(
            {
                "context": f"`{context}`",
                "learning rate": f"{lr:g}",
                "arithmetic": dtype,
                "training loss, first and last epoch": f"{one.train_loss.iloc[0]:.2f}, {one.train_loss.iloc[-1]:.2f}",
                "largest difference": f"{_difference(one, two):.1e}",
                "each by its own count": f"{_difference(one, apart):.2g}",
            }
        )
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def _history(processes: int, context: str | None, lr: float, dtype: str) -> pd.DataFrame:
    import torch
    from tests.nn.neighbourhoods import encoder, rows

    from histoscribe.nn import TrainConfig
    from histoscribe.nn._fit import fit

    shared: dict[str, Any] = {"epochs": EPOCHS, "lr": lr, "patience": None, "accelerator": "cpu"}
    strategy = "auto" if processes == 1 else "ddp_fork"
    train = TrainConfig(batch_size=8 // processes, devices=processes, strategy=strategy, **shared)
    module = encoder(dim=32, depth=2, context=context, mask_fraction=0.05).to(getattr(torch, dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pd.DataFrame(fit(module, rows(alone=30), train, val=rows(40, seed=1, alone=15)))


def _difference(a: pd.DataFrame, b: pd.DataFrame) -> float:
    return float((a[b.columns] - b).abs().max().max())
