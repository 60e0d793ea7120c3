"""The gene encoder against plain ways of the same work.

Random weights and random genes; nothing here speaks of accuracy. One thread, processor seconds (a shared machine disturbs them less
than the clock), ways interleaved, median of three runs and the quickest and slowest; what takes over a minute runs once. The plain
ways are written anew from what is known of the public code of reference 002. bf16 is measured where the processor has arithmetic for
it; elsewhere it is several times slower. *Matrix products alone* multiplies square matrices for as many operations as the work has at
least, padding left out: what this processor could do at best.

*Encoding*: 4 of the 12 layers of the default, 512 wide, 16 heads, 16 spots of 1,260 genes on average (1,020 to 1,500) in 1,500
slots. *Plain loop* is torch's `TransformerEncoderLayer` with a key padding mask over the padded rows. Ours is what `encode_genes`
does: spots of like length together, few at a time, no mask where nothing is padded. The last column is the largest difference
between our vectors and those of our own layers written out, a spot at a time, over the largest value.

*Heads in training*: both losses of one group of 9 such spots, forward and backward, from given states (IGR of 15 % of the positions
of all spots, CGR of the centre), a process each. *Every position* makes the logits of all 9 + 1 times 1,500 positions and ignores
the labels of the others: five times as many as are asked for. Memory is the peak above the start. Both find the same loss.

*Neighbourhoods* of 9 spots on a square grid 100 um apart. *All by distance* orders all spots by their distance from each seed. The
public code asks an index for all of them, which takes longer still: 0.064, 0.324, 2.52 and 16.0 s were measured for it on a like machine.

*Sizes*: genes a second of one encoding and of one training step (IGR and CGR, one group) of 9 such spots, at each precision. On a
CUDA device the share of its bf16 peak in matrix products stands beside it.
"""

import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from _gene_encoder_runs import (
    GROUP,
    LENGTH,
    VOCABULARY,
    at,
    interleaved,
    model,
    of_blocks,
    of_heads,
    precisions,
    products,
    spots,
    spread,
    times,
)
from _gene_encoder_sizes import sizes

SPOTS, LAYERS, RUNS_IN_A_PROCESS = 16, 4, 3
ALONE = "matrix products alone"
GRIDS = (1000, 5000, 20_000, 50_000)
_CHILD = """
import sys, time, torch
sys.path.insert(0, sys.argv[2])
from gene_encoder import heads
torch.set_num_threads(1)
run = heads(sys.argv[1])
def peak():  # not getrusage, which starts from the parent's peak
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
before, start = peak(), time.process_time()
loss = run()
print(time.process_time() - start, peak() - before, loss)
"""


def measure() -> dict[str, pd.DataFrame]:
    """Return a table for each part of the work."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {
            "Encoding": encoding(),
            "Heads in training": training_heads(),
            "Neighbourhoods": neighbourhoods(),
            "Sizes": sizes(),
        }
    finally:
        torch.set_num_threads(threads)


def encoding() -> pd.DataFrame:
    """Compare a loop over torch's layers with ours, at both precisions."""
    import torch
    from _plain_gene_encoder import PlainEncoder, one_by_one

    import histoscribe as hs
    from histoscribe.tl._encode_tokens import encode

    ours, tokens = model(hs.nn.GeneEncoder(depth=LAYERS)), spots(SPOTS)
    plain = PlainEncoder(512, LAYERS, 16, 1024, VOCABULARY, LENGTH).eval()
    ids = torch.from_numpy(tokens.astype(np.int64))

    def loop(precision: str) -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            plain(ids)

    def encoded(precision: str) -> np.ndarray:
        return at(precision, lambda: encode(tokens, ours.module, torch.device("cpu")))

    ways = {
        (how, precision): (lambda way=way, precision=precision: way(precision))
        for precision in precisions("cpu")
        for how, way in (("plain loop", loop), ("histoscribe", encoded))
    }
    ways[ALONE, "32"] = products(of_blocks(ours.config, np.count_nonzero(tokens, axis=1)))
    runs = interleaved(ways)
    with torch.inference_mode():
        wanted = one_by_one(ours.module, ids).numpy()
    rows = []
    for (how, precision), seconds in runs.items():
        off = "" if how != "histoscribe" else f"{abs(encoded(precision) - wanted).max() / abs(wanted).max():.1g}"
        like, full = (f"{times(runs['plain loop', one], seconds):.1f}" for one in (precision, "32"))
        rows.append((how, precision, *spread(seconds), like, full, off))
    names = ["times the loop at this precision", "times the loop at 32", "largest difference"]
    return pd.DataFrame(rows, columns=["how", "precision", "s (median)", "(range)", *names])


def heads(how: str) -> Callable[[], float]:
    """Make what computes both losses and their gradients once, from given states, and returns their sum."""
    import torch
    from _plain_gene_encoder import all_positions

    import histoscribe as hs
    from histoscribe.nn.genes._token_transformer import surprise

    module = model(hs.nn.GeneEncoder(depth=1)).module
    tokens = torch.from_numpy(spots(GROUP).astype(np.int64))
    chosen = (torch.rand(tokens.shape) < 0.15) & (tokens != 0)
    states = torch.randn(*tokens.shape, 512, requires_grad=True)

    def every() -> torch.Tensor:
        return all_positions(module, states, tokens, chosen)

    def ours() -> torch.Tensor:
        igr = surprise(module.intrinsic, module.norm(states[chosen]), tokens[chosen])
        return igr + surprise(module.contextual, *module._by_rank(states[None], tokens[None]))

    def run() -> float:
        loss = every() if how == "every position" else ours()
        loss.backward()
        return loss.item()

    return run


def training_heads() -> pd.DataFrame:
    """Compare logits of every position with those of the positions that are asked for."""
    found: dict[str, list[tuple[float, ...]]] = {"every position": [], "histoscribe": []}
    for _ in range(RUNS_IN_A_PROCESS):
        for how, values in found.items():
            command = [sys.executable, "-W", "ignore", "-c", _CHILD, how, str(Path(__file__).parent)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            values.append(tuple(float(number) for number in printed[-3:]))
    (base, large, wanted), *_ = zip(*found["every position"], strict=True), None
    rows = []
    tokens = spots(GROUP)
    asked = 0.15 * np.count_nonzero(tokens) + np.count_nonzero(tokens[0])
    least = interleaved({ALONE: products(3 * of_heads(512, asked))})[ALONE]  # backward has two products for each
    for how, values in found.items():
        seconds, megabytes, losses = zip(*values, strict=True)
        if abs(losses[0] / wanted[0] - 1) > 1e-5:
            raise SystemExit(f"{how} found another loss: {losses[0]}, not {wanted[0]}")
        memory = statistics.median(megabytes)
        shares = f"{times(base, seconds):.1f}", f"{memory:.0f}", f"{statistics.median(large) / memory:.1f}"
        rows.append((how, *spread(seconds), *shares, f"{losses[0]:.5f}"))
    rows.append((ALONE, *spread(least), f"{times(base, least):.1f}", "", "", ""))
    columns = ["s (median)", "(range)", "times every position", "memory, MB", "times every position's", "loss"]
    return pd.DataFrame(rows, columns=["how", *columns])


def neighbourhoods() -> pd.DataFrame:
    """Compare ordering all spots for each seed with our partition."""
    from _plain_gene_encoder import exponent, greedy_batches

    from histoscribe.nn.genes._neighbourhoods import partition

    rows, seconds = [], []
    for n in GRIDS:
        side = int(np.ceil(np.sqrt(n)))
        xy = 100.0 * np.column_stack([np.arange(n) % side, np.arange(n) // side])
        ways = {
            "plain": lambda xy=xy: greedy_batches(xy, GROUP, 1000.0),
            "ours": lambda xy=xy, n=n: partition(
                xy, np.zeros(n, dtype=int), size=GROUP, max_extent_um=600.0, seed=[0, 1]
            ),
        }
        runs = interleaved(ways)
        seconds.append(runs)
        ratio = f"{times(runs['plain'], runs['ours']):.0f}"
        rows.append([f"{n:,}", *spread(runs["plain"], 3), *spread(runs["ours"], 4), ratio])
    for way, place in (("plain", 3), ("ours", 6)):
        powers = ["", *(f"{p:.1f}" for p in exponent(list(GRIDS), [statistics.median(one[way]) for one in seconds]))]
        for row, power in zip(rows, powers, strict=True):
            row.insert(place, power)
    columns = ["all by distance, s", "(range)", "power of n", "histoscribe, s", "(range) ", "power of n ", "times ours"]
    return pd.DataFrame(rows, columns=["spots", *columns])
