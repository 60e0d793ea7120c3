"""The gene vocabulary: which genes have tokens, and how strongly each is expressed where it is found at all."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import GenesError
from ._types import check_types

PAD, MASK, CLS = 0, 1, 2
FIRST_GENE = 30  # ids 3-29 are reserved


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Genes in a fixed order with their mean expression; fitted by :func:`histoscribe.pp.fit_vocabulary`.

    It is kept as JSON: ``path.write_text(vocabulary.to_json())``, ``hs.pp.Vocabulary.from_json(path.read_text())``.

    Parameters
    ----------
    genes
        Names as in ``var_names``; gene ``k`` has token ``30 + k``.
    means
        Mean of the non-zero entries, in counts per 10,000.
    n_nonzero
        Number of spots that each mean was taken over.
    shares
        Share of each gene in all counts of the sections that measure it; None in a vocabulary of histoscribe 0.1.0,
        which can't rank by residuals.
    """

    genes: tuple[str, ...]
    means: NDArray[np.float64]
    n_nonzero: NDArray[np.int64]
    shares: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        check_types(Vocabulary, vars(self))
        n = len(self.genes)
        if len(set(self.genes)) != n:
            raise GenesError(
                "Vocabulary.genes",
                found="duplicates",
                expected="unique names",
                fix="Run adata.var_names_make_unique().",
            )
        columns = {"means": self.means, "n_nonzero": self.n_nonzero, "shares": self.shares}
        for name, values in columns.items():
            least = 0 if name == "n_nonzero" else np.nextafter(0, 1)
            if values is not None and (values.shape != (n,) or not ((values >= least) & np.isfinite(values)).all()):
                found = f"shape {values.shape}, smallest {values.astype(float).min(initial=np.inf):.3g}"
                expected = f"{n} positive numbers"
                raise GenesError(f"Vocabulary.{name}", found=found, expected=expected, fix="Fit it anew.")

    def __repr__(self) -> str:
        return f"Vocabulary({len(self):,} genes: {', '.join(self.genes[:3])}, ...)"

    def __len__(self) -> int:
        return len(self.genes)

    @property
    def n_tokens(self) -> int:
        """Number of token ids, the reserved ones included."""
        return FIRST_GENE + len(self.genes)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {gene: k for k, gene in enumerate(self.genes)}

    def index(self, names: Any) -> NDArray[np.int64]:
        """Position of each name in the vocabulary, -1 where it is not in it."""
        position = self._position
        return np.array([position.get(name, -1) for name in names], dtype=np.int64)

    def share(self, position: NDArray[np.integer]) -> float:
        """Share of all counts it was fitted on that the genes at these positions had."""
        weights = self.means * self.n_nonzero if self.shares is None else self.shares
        total = float(weights.sum())
        return float(weights[position].sum()) / total if total else 1.0

    def decode(self, tokens: Any) -> list[str]:
        """Gene names of the gene tokens among ``tokens``, in order."""
        return [self.genes[t - FIRST_GENE] for t in np.asarray(tokens).tolist() if t >= FIRST_GENE]

    @cached_property
    def sha256(self) -> str:
        """Hash of names, order and means; stored with all that was made from them."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Write the vocabulary as JSON text."""
        columns = {"genes": list(self.genes), "means": self.means.tolist(), "n_nonzero": self.n_nonzero.tolist()}
        if self.shares is not None:
            columns["shares"] = self.shares.tolist()
        return json.dumps(columns)

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """Read what :meth:`to_json` wrote, without shares too, as histoscribe 0.1.0 did."""
        fix = "Pass what Vocabulary.to_json wrote."
        try:
            return cls(**_columns(json.loads(text)))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            if isinstance(error, GenesError):
                raise
            raise GenesError("text", found=repr(error)[:200], expected="a vocabulary as JSON", fix=fix) from error


def _columns(held: Any) -> dict[str, Any]:
    """Return what a vocabulary is made of, from parsed JSON."""
    missing = {"genes", "means", "n_nonzero"} - set(held if isinstance(held, dict) else ())
    if missing:
        raise KeyError(f"no {sorted(missing)}")
    genes, shares = held["genes"], held.get("shares")
    if not isinstance(genes, list) or not all(isinstance(gene, str) for gene in genes):
        raise TypeError("genes that are no names")
    n_nonzero = np.array(held["n_nonzero"], dtype=np.float64)
    if not (np.abs(n_nonzero) < 2**53).all() or (n_nonzero != np.rint(n_nonzero)).any():
        raise ValueError("n_nonzero that are no whole numbers")
    return {
        "genes": tuple(genes),
        "means": np.array(held["means"], dtype=np.float64),
        "n_nonzero": n_nonzero.astype(np.int64),
        "shares": None if shares is None else np.array(shares, dtype=np.float64),
    }
