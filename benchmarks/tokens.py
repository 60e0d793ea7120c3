"""Tokens and gene means.

100,000 spots x 20,000 genes of synthetic counts, 7.8 % of them not zero, 1,500 tokens a spot; one thread each, a process each, ways
interleaved. *Reference steps* are those of the public code this rank comes from: a copy scaled to 10,000 counts, a copy divided by the
gene means, an argsort of each row in compiled code (as float64, then int32). It leaves the order of ties open, so the sums
of the tokens of the first 50 spots are compared, to 1 in 10,000. *numpy argsort* is the same with numpy's vectorised argsort, a row at a time. `tokenize_genes` includes the checks of the counts, the names and the coverage; the output alone takes 286 MB.
Gene means are those of non-zero entries, by scipy from a scaled copy; `fit_vocabulary` adds the checks of counts and names to the loop.
"""

import pandas as pd

from _counts import run, table

N, GENES = 100_000, 20_000

_MEANS = """
means = np.random.default_rng(1).lognormal(0, 1, g)
"""
_STEPS = """
from sklearn.utils.sparsefuncs import inplace_row_scale
def scaled_and_divided(x):
    scaled = x.copy()
    total = np.asarray(scaled.sum(axis=1)).ravel()
    inplace_row_scale(scaled, 1e4 / np.maximum(total, 1))
    return sp.csr_matrix((scaled.data / means[scaled.indices], scaled.indices, scaled.indptr), shape=scaled.shape)
"""
_COMPILED = (
    _MEANS
    + _STEPS
    + """
import numba
@numba.njit
def rank_rows(data, indices, indptr, n_tokens):
    tokens = np.zeros((indptr.size - 1, n_tokens))
    for i in range(indptr.size - 1):
        order = np.argsort(-data[indptr[i]:indptr[i + 1]])[:n_tokens]
        tokens[i, :order.size] = indices[indptr[i]:indptr[i + 1]][order] + 30
    return tokens
few = scaled_and_divided(x[:50])
rank_rows(few.data, few.indices, few.indptr, 1500)
"""
)
_ADATA = (
    _MEANS
    + """
import pandas as pd, histoscribe as hs
from histoscribe._vocabulary import Vocabulary
names = pd.Index([f"G{k}" for k in range(g)])
shares = np.random.default_rng(2).dirichlet(np.ones(g)) + 1e-9
vocabulary = Vocabulary(tuple(names), means, np.full(g, 1000), shares)
adata = AnnData(x, var=pd.DataFrame(index=names))
few = adata[:50].copy()
for rank in ("mean", "residual"):
    hs.pp.tokenize_genes(few, vocabulary, rank=rank)
hs.pp.fit_vocabulary(few)
"""
)
_TOKENS = 'adata.obsm["gene_tokens"][:50].astype(int).sum()'
_OURS, _OURS_SUMS, _STEPS_NAME, _SCIPY = (
    "tokenize_genes",
    "gene means, our loop",
    "reference steps",
    "gene means, scipy",
)

_HOW = {
    _OURS: (_ADATA, "hs.pp.tokenize_genes(adata, vocabulary)", _TOKENS),
    'tokenize_genes, rank="residual"': (_ADATA, 'hs.pp.tokenize_genes(adata, vocabulary, rank="residual")', _TOKENS),
    _STEPS_NAME: (
        _COMPILED,
        "r = scaled_and_divided(x); tokens = rank_rows(r.data, r.indices, r.indptr, 1500).astype(np.int32)",
        "int(tokens[:50].sum())",
    ),
    "reference steps, numpy argsort": (
        _MEANS + _STEPS,
        """
r = scaled_and_divided(x)
tokens = np.zeros((n, 1500), dtype=np.int32)
for i in range(n):
    order = np.argsort(-r.data[r.indptr[i]:r.indptr[i + 1]])[:1500]
    tokens[i, :order.size] = r.indices[r.indptr[i]:r.indptr[i + 1]][order] + 30
""",
        "int(tokens[:50].sum())",
    ),
    _OURS_SUMS: (
        "from histoscribe.pp._gene_sums import gene_sums; gene_sums(x[:50])",
        "sums = gene_sums(x)",
        "(sums.scaled / np.maximum(sums.n_nonzero, 1))[sums.n_nonzero >= 20].sum()",
    ),
    "fit_vocabulary": (
        _ADATA,
        "vocabulary = hs.pp.fit_vocabulary(adata)",
        "vocabulary.means[vocabulary.n_nonzero >= 20].sum()",
    ),
    _SCIPY: (
        _STEPS,
        """
scaled = x.copy()
inplace_row_scale(scaled, 1e4 / np.maximum(np.asarray(scaled.sum(axis=1)).ravel(), 1))
n_nonzero = scaled.getnnz(axis=0)
means = np.asarray(scaled.sum(axis=0)).ravel() / np.maximum(n_nonzero, 1)
""",
        "means[n_nonzero >= 20].sum()",
    ),
}


def measure(n: int = N, genes: int = GENES, repeats: int = 2) -> pd.DataFrame:
    """Return seconds and memory of each way."""
    runs: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in _HOW}
    for _ in range(repeats):
        for name, way in _HOW.items():
            runs[name].append(run(*way, n=n, g=genes))
    found = {name: values[0][3] for name, values in runs.items()}
    for ours, theirs, tolerance in ((_OURS, _STEPS_NAME, 1e-4), (_OURS_SUMS, _SCIPY, 1e-4)):
        if abs(found[ours] / found[theirs] - 1) > tolerance:
            raise SystemExit(f"{ours} and {theirs} found different things: {found[ours]}, {found[theirs]}")
    rivals = {name: _OURS for name in _HOW if name.startswith("reference")} | {_SCIPY: _OURS_SUMS}
    return table(runs, rivals)
