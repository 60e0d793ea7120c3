"""The Hallmark gene sets."""

from .._errors import OptionError
from ..io import read_gmt
from ._remote import path_of

_PREFIX = "HALLMARK_"


def hallmark(organism: str = "human") -> dict[str, list[str]]:
    """Fifty Hallmark gene sets of MSigDB 7.4 (Liberzon et al. 2015, Cell Systems 1:417; CC BY 4.0).

    Parameters
    ----------
    organism
        ``"human"``; for others pass gene sets of your own to the functions that take them.

    Returns
    -------
    Name without ``HALLMARK_``, such as ``"HYPOXIA"`` → gene symbols.

    Raises
    ------
    OptionError
        For any other organism: no verified file is known.
    OfflineError
        The file is neither on disk nor can it be downloaded.

    Examples
    --------
    >>> hs.datasets.hallmark()["HYPOXIA"][:3]
    ['PGK1', 'PDK1', 'GBE1']
    """
    if organism != "human":
        raise OptionError(
            "organism",
            found=repr(organism),
            expected="'human', the only one with a verified file",
            fix="Download a GMT file for it from MSigDB and pass gene_sets=hs.io.read_gmt(path).",
        )
    sets = read_gmt(path_of("genesets/h.all.v7.4.symbols.gmt"))
    return {name.removeprefix(_PREFIX): genes for name, genes in sets.items()}
