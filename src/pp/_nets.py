"""Gene sets in any form a user has them, as one: set → gene → weight."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .._errors import GenesError, OptionError
from .._keys import slug
from .._pathway_scale import Net
from ..datasets import hallmark
from ..io import read_gmt

GeneSets: TypeAlias = str | Path | Mapping[str, Sequence[str]] | pd.DataFrame

_EXPECTED = "'hallmark', the path of a GMT file, a dict or a decoupler net (a DataFrame with source and target)"


def named_net(gene_sets: GeneSets) -> tuple[str, Net]:
    """Name of the sets, and their genes with weights; a gene that a set holds twice counts once.

    Raises
    ------
    OptionError
        It is none of the forms that are understood.
    GenesError
        A net without its columns, with weights that are no numbers, or with two weights for a gene of a set; two sets
        whose columns would have one name.
    """
    name, net = _named(gene_sets)
    columns: dict[str, str] = {}
    for one in net:
        if (other := columns.setdefault(slug(one), one)) != one:
            found = f"{other!r} and {one!r}, both of column {slug(one)!r}"
            raise GenesError("gene_sets", found=found, expected="a column for each set", fix="Rename one of the two.")
    return name, net


def _named(gene_sets: GeneSets) -> tuple[str, Net]:
    if isinstance(gene_sets, pd.DataFrame):
        return "pathways", _of_frame(gene_sets)
    if isinstance(gene_sets, Mapping):
        return "pathways", _of_dict(gene_sets)
    if not isinstance(gene_sets, (str, Path)):
        fix = "Name a list: {'mine': [...]}."
        raise OptionError("gene_sets", found=type(gene_sets).__name__, expected=_EXPECTED, fix=fix)
    if str(gene_sets) == "hallmark":
        return "hallmark", _of_dict(hallmark())
    path = Path(gene_sets)
    if not path.suffix and not path.exists():
        fix = "Did you mean 'hallmark'?"
        raise OptionError("gene_sets", found=repr(str(gene_sets)), expected=_EXPECTED, fix=fix)
    return path.name.removesuffix(".gz").removesuffix(".zip").removesuffix(".gmt"), _of_dict(read_gmt(path))


def _of_dict(sets: Mapping[str, Sequence[str]]) -> Net:
    for name, genes in sets.items():
        if isinstance(genes, str) or not isinstance(genes, Iterable):
            fix = f"Make it a list: {{{str(name)!r}: [{genes!r}]}}."
            raise OptionError(f"gene_sets[{str(name)!r}]", found=repr(genes), expected="a list of genes", fix=fix)
    if len({str(name) for name in sets}) < len(sets):
        found = f"names that are one as text, among {list(sets)[:5]}"
        raise GenesError("gene_sets", found=found, expected="each set once", fix="Rename or remove one of the two.")
    return {str(name): {str(gene).strip(): 1.0 for gene in genes} for name, genes in sets.items()}


def _of_frame(net: pd.DataFrame) -> Net:
    missing = {"source", "target"} - set(net.columns)
    if missing:
        fix = "Rename its columns: net.rename(columns={...: 'source', ...: 'target'})."
        raise GenesError("gene_sets", found=f"columns {list(net.columns)}", expected="source and target", fix=fix)
    if unnamed := int(net[["source", "target"]].isna().any(axis=1).sum()):
        found = f"{unnamed} rows without a set or a gene"
        raise GenesError("gene_sets", found=found, expected="a name in each", fix="Drop these rows: net.dropna().")
    weight = pd.to_numeric(net["weight"], errors="coerce") if "weight" in net else pd.Series(1.0, index=net.index)
    if not np.isfinite(weight).all():
        found = f"{int((~np.isfinite(weight)).sum())} weights that are no numbers"
        raise GenesError("gene_sets['weight']", found=found, expected="numbers", fix="Drop or mend these rows.")
    rows = pd.DataFrame({"set": net["source"].astype(str), "gene": net["target"].astype(str).str.strip()})
    rows = rows.assign(weight=weight.to_numpy(dtype=float)).drop_duplicates()
    twice = rows[rows.duplicated(["set", "gene"])]
    if len(twice):
        found = f"two weights for {twice['gene'].iloc[0]!r} in {twice['set'].iloc[0]!r}"
        raise GenesError("gene_sets", found=found, expected="one weight for a gene of a set", fix="Drop one.")
    sets: Net = {name: {} for name in rows["set"]}
    for name, gene, value in rows.itertuples(index=False):
        sets[name][gene] = value
    return sets


def genes_of(net: Net) -> list[str]:
    """All genes of a net, each once, in order."""
    return list(dict.fromkeys(gene for genes in net.values() for gene in genes))


def membership_matrix(position: NDArray[np.int64], wanted: Sequence[str], net: Net) -> sp.csr_matrix:
    """Weight of each column's gene in each set (g, P).

    Parameters
    ----------
    position
        Place of each column's gene among ``wanted``, -1 for none.
    wanted
        The genes that positions refer to.
    net
        The sets; a weight of 0 is no membership.
    """
    column = {wanted[k]: at for at, k in enumerate(position.tolist()) if k >= 0}
    triples = [
        (column[gene], k, weight)
        for k, genes in enumerate(net.values())
        for gene, weight in genes.items()
        if gene in column and weight
    ]
    rows, sets, weights = zip(*triples, strict=True) if triples else ((), (), ())
    shape = (len(position), len(net))
    return sp.csr_matrix((np.array(weights, dtype=np.float64), (rows, sets)), shape=shape)


def net_hash(net: Net) -> str:
    """Hash of the sets, their genes and weights."""
    return hashlib.sha256(json.dumps(net).encode()).hexdigest()
