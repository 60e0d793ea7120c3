"""The gene vocabulary: which genes have tokens, and how strongly each is expressed where it is found at all."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import GenesError

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
            if values is not None and (values.shape != (n,) or not (values >= least).all()):
                found = f"shape {values.shape}, smallest {values.min(initial=np.inf):.3g}"
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
        columns = json.loads(text)
        missing = {"genes", "means", "n_nonzero"} - set(columns if isinstance(columns, dict) else ())
        if missing:
            fix = "Pass what Vocabulary.to_json wrote."
            raise GenesError("text", found=f"no {sorted(missing)}", expected="a vocabulary as JSON", fix=fix)
        shares = columns.get("shares")
        return cls(
            tuple(columns["genes"]),
            np.array(columns["means"], dtype=np.float64),
            np.array(columns["n_nonzero"], dtype=np.int64),
            None if shares is None else np.array(shares, dtype=np.float64),
        )
