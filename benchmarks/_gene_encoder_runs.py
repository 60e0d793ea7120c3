"""What the tables of the gene encoder share: spots, models, and turns at the clock."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

LENGTH, GROUP, VOCABULARY, RUNS = 1500, 9, 20_340, 3
_SIDE = 2048
_LONG_S = 3.0  # what takes as long has no need to warm up
_ONCE_S = 60.0  # and what takes as long as this, none to be repeated


def spots(n: int) -> np.ndarray:
    """Tokens (n, LENGTH) of spots, 0.84 of them genes."""
    rng = np.random.default_rng(0)
    tokens = np.zeros((n, LENGTH), dtype=np.uint16)
    for row, length in enumerate(rng.permutation(np.linspace(0.68 * LENGTH, LENGTH, n).astype(int))):
        tokens[row, :length] = 30 + rng.choice(VOCABULARY - 30, length, replace=False)
    return tokens


def model(config: Any) -> Any:
    """Make a model with random weights."""
    import torch

    import histoscribe as hs

    torch.manual_seed(0)
    made = hs.nn.Model.new(config, {"sizes": {"tokens": VOCABULARY}})
    for weight in made.module.blocks.parameters():
        if weight.ndim > 1:
            torch.nn.init.xavier_normal_(weight)  # blocks that have not learned add nothing, and hide mistakes
    return made


def precisions(device: str) -> list[str]:
    """Precisions that a device has arithmetic for."""
    import torch

    has = torch.cpu.get_capabilities()
    return ["32", "bf16"] if device != "cpu" or has.get("avx512_bf16") or has.get("amx_bf16") else ["32"]


def of_blocks(config: Any, lengths: np.ndarray) -> float:
    """Operations of a forward pass through the blocks, products of matrices alone."""
    linear = 2 * int(lengths.sum()) * (4 * config.dim**2 + 2 * config.dim * config.hidden)
    return float(config.depth * (linear + 4 * int((lengths**2).sum()) * config.dim))


def of_heads(dim: int, asked: float) -> float:
    """Operations of naming the genes at so many positions."""
    return 2.0 * dim * VOCABULARY * asked


def products(flop: float) -> Callable[[], None]:
    """Make matrix products of so many operations: what the processor can do at best."""
    import torch

    a, b = torch.randn(2, _SIDE, _SIDE)
    n = max(1, round(flop / (2 * _SIDE**3)))

    def run() -> None:
        with torch.inference_mode():
            for _ in range(n):
                torch.mm(a, b)

    return run


def at(precision: str, work: Callable[[], Any]) -> Any:
    """Do work at a precision."""
    import histoscribe as hs

    before, hs.settings.precision = hs.settings.precision, precision
    try:
        return work()
    finally:
        hs.settings.precision = before


def interleaved(ways: Mapping[Any, Callable[[], Any]], *, clock: bool = False) -> dict[Any, list[float]]:
    """Seconds of each way in turn; the first turn of those that are short only warms up, very long ones have one."""
    now = time.perf_counter if clock else time.process_time
    seconds: dict[Any, list[float]] = {name: [] for name in ways}
    warm: set[Any] = set()
    left = dict(ways)
    while left:
        for name, way in list(left.items()):
            start = now()
            way()
            taken = now() - start
            if name in warm or taken > _LONG_S:
                seconds[name].append(taken)
            warm.add(name)
            if len(seconds[name]) == RUNS or taken > _ONCE_S:
                del left[name]
    return seconds


def times(base: Any, seconds: Any) -> float:
    """How many times as long the base takes, by medians."""
    return statistics.median(base) / statistics.median(seconds)


def spread(seconds: Any, digits: int = 2) -> tuple[str, str]:
    """Median and range of seconds, as text."""
    return f"{statistics.median(seconds):.{digits}f}", f"{min(seconds):.{digits}f} to {max(seconds):.{digits}f}"
