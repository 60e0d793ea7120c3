"""Wherever a call is stopped, by an error or by Ctrl-C, a section is as before or as after, and so is the process."""

from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData

from histoscribe._errors import HistoscribeError

from ..digest import digest
from ..marks import weekly
from . import material
from .applied import applied
from .call import Call
from .interrupted import Stopped, lines
from .state import changed, snapshot

N_LAST = 20  # lines at the end, where results are written
N_SPOTS = {"tl.encode_image": 6}  # 24 elsewhere


def _sections(given: dict[str, Any], call: Call) -> list[AnnData]:
    held = given[call.section] if call.section is not None else []
    return list(held) if isinstance(held, list) else [held]


@cache
def _cut(call: Call) -> list[AnnData]:
    """Two small sections."""
    return [one[: N_SPOTS.get(call.name, 24)].copy() for one in material.ready()[:2]]


def _fresh(call: Call) -> dict[str, Any]:
    """Arguments for a small section; for two of them where lists are taken."""
    given = call.arguments(_cut(call)[0].copy())
    if call.many and call.name not in ("pl.panels", "pl.alignment", "pp.align_affine"):
        given["adata"] = [given["adata"], _cut(call)[1].copy()]
    return given


def _stopped(call: Call, given: dict[str, Any], stop: int, error: type[BaseException]) -> bool:
    """Whether the call ended with the error, or with one of ours that was raised from it."""
    try:
        lines(lambda: call.function(**given), stop, error)
    except (Stopped, KeyboardInterrupt):
        return True
    except HistoscribeError as ours:
        return isinstance(ours.__cause__, Stopped)
    return False


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("n_places", "step"), [(2, 4), *weekly((8, 1))], ids=str)  # anywhere, and of the last lines
@applied("interrupts", lambda call: call.writes)
def test_stopped_calls_leave_sections_before_or_after(call: Call, n_places: int, step: int) -> None:
    given = _fresh(call)
    before = [digest(one) for one in _sections(given, call)]
    call.function(**given)
    after = [digest(one) for one in _sections(given, call)]
    given = _fresh(call)
    n = lines(lambda: call.function(**given))
    plt.close("all")
    state = snapshot()
    raised, some = 0, np.random.default_rng(0).integers(1, n + 1, n_places).tolist()
    for k, stop in enumerate(sorted({*some, *range(max(1, n - N_LAST + 1), n + 1, step)})):
        given, error = _fresh(call), (Stopped, KeyboardInterrupt)[k % 2]
        raised += _stopped(call, given, stop, error)
        for one, was, will_be in zip(_sections(given, call), before, after, strict=True):
            assert digest(one) in (was, will_be), f"stopped at line {stop} of {n}: between"
    assert raised > k / 2  # a run of fewer lines than the first may end before
    plt.close("all")
    assert changed(state, snapshot()) == {}
