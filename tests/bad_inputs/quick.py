"""Which tries run at every step; the others run weekly: they take long, or show on one more function what these show."""

from collections.abc import Sequence

from histoscribe.pp._methods import METHODS

from .row import Defined, Row

# Methods of pathway scores: ours and one of decoupler's; where genes come in another order, one that has ties.
_OTHER_METHODS = set(METHODS) - {"ulm", "zscore"}
_WITH_TIES = {("F9", "aucell")}
# Functions that take a third of a second, unless they refuse: quick on inputs that are tried on no other.
_SLOW = {"tl.pretrain_genes", "pp.check_registration"}
# Rows on what holds the counts, and on their values: one reader sees to all of them. Some are tried on all functions.
_OF_COUNTS = {"A1", "A2", "A4", "A5", "A8", "A9", "A10", "A11", "F2"}
_READER = "tl.encode_genes"
_ON_ALL = {"a negative count", "counts in a csc array", "an AnnData that is backed by its file"}
# Tries of a second and more, by the last word of what they are tried on.
_LONG = {("A34", "zarr"), ("T6", "tl.fuse"), ("I22", "pp.check_registration")}
# Kinds of input that all run weekly, and what stands for them: tests/pp/test_registration.py has mirrored images.
WEEKLY = {"I22"}

Try = tuple[Row, str]


def quick(tries: Sequence[Try]) -> list[bool]:
    """Whether a row runs on a function at every step."""
    chosen = [_is_chosen(one) and not _is_slow(one) for one in tries]
    inputs = {_input(one) for one, is_chosen in zip(tries, chosen, strict=True) if is_chosen}
    return [
        is_chosen or (_is_slow(one) and _is_chosen(one) and _input(one) not in inputs)
        for one, is_chosen in zip(tries, chosen, strict=True)
    ]


def _is_chosen(one: Try) -> bool:
    row, words = one[0], one[1].replace(",", "").split()
    if (row.id, words[-1]) in _WITH_TIES:
        return True
    if _OTHER_METHODS & set(words) or (row.id, words[-1]) in _LONG:
        return False
    return row.id not in _OF_COUNTS or words == [_READER] or row.given in _ON_ALL


def _is_slow(one: Try) -> bool:
    return one[1].split()[0] in _SLOW and isinstance(one[0].result, Defined)


def _input(one: Try) -> tuple[str, str]:
    return one[0].id, one[0].given
