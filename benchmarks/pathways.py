"""Pathway scores.

50 sets of 200 genes on 100,000 spots x 20,000 genes of synthetic counts, 7.8 % of them not zero; one thread each, a process each. decoupler
runs with `bsize=1000, empty=False`, on counts that scanpy has scaled and logged before the clock starts; `score_pathways` starts from raw
counts, checks them and takes the logarithm on the way. decoupler always makes p-values, so its time stands for both rows; the first is our
kernel alone, without p-values. All ways score the same (compared to 1e-3 on the first 20 spots).
"""

import pandas as pd

from _counts import run, table

N, GENES = 100_000, 20_000

_SETS = """
import pandas as pd
names = pd.Index([f"G{k:05d}" for k in range(g)])
rng = np.random.default_rng(1)
sets = {f"S{k:02d}": list(names[rng.choice(g, 200, replace=False)]) for k in range(50)}
adata = AnnData(x, var=pd.DataFrame(index=names))
few = adata[:1100].copy()
"""
_OURS = (
    _SETS
    + """
import histoscribe as hs
from histoscribe.pp._nets import membership_matrix
from histoscribe.pp._ulm import ulm
net = {name: dict.fromkeys(genes, 1.0) for name, genes in sets.items()}
members = membership_matrix(np.arange(g), list(names), net)
hs.pp.score_pathways(few, sets)
"""
)
_DECOUPLER = (
    _SETS
    + """
import scanpy as sc, decoupler as dc
net = pd.DataFrame([(s, gene, 1.0) for s, genes in sets.items() for gene in genes], columns=["source", "target", "weight"])
for one in (few, adata):
    sc.pp.normalize_total(one, target_sum=1e4)
    sc.pp.log1p(one)
dc.mt.ulm(few, net, empty=False, bsize=1000)
"""
)
_CHECK = "np.abs(np.asarray({})[:20]).sum()"
_KERNEL, _ALL, _THEIRS = "ulm, scores only", "score_pathways, p-values and Benjamini-Hochberg", "decoupler {}"

_HOW = {
    _KERNEL: (_OURS, "t, _ = ulm(x, members, with_p=False)", _CHECK.format("t")),
    _ALL: (_OURS, "hs.pp.score_pathways(adata, sets)", _CHECK.format('adata.obsm["score_pathways"]')),
    "decoupler": (
        _DECOUPLER,
        "dc.mt.ulm(adata, net, empty=False, bsize=1000)",
        _CHECK.format('adata.obsm["score_ulm"]'),
    ),
}


def measure(n: int = N, genes: int = GENES, repeats: int = 2) -> pd.DataFrame:
    """Return seconds and memory of each way."""
    runs: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in _HOW}
    for _ in range(repeats):
        for name, way in _HOW.items():
            runs[name].append(run(*way, n=n, g=genes))
    found = [values[0][3] for values in runs.values()]
    if max(found) - min(found) > 1e-3 * 1000:  # 20 spots x 50 sets
        raise SystemExit(f"the ways score differently: {found}")
    runs |= {_THEIRS.format("to scores"): runs.pop("decoupler")}
    runs |= {_THEIRS.format("to scores and p-values"): runs[_THEIRS.format("to scores")]}
    return table(runs, {_THEIRS.format("to scores"): _KERNEL, _THEIRS.format("to scores and p-values"): _ALL})
