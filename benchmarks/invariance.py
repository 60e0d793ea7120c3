"""Invariance: what must not change a number, and how far it does.

Every public function that the variation applies to is run on a planted section of 60 spots, as it is and varied. *Largest* is the
largest difference of any number that the function wrote or returned, *of the spread* the same divided by the standard deviation of
these numbers over spots or genes; text, shapes and missing values must be equal. Spots in another order are compared spot by spot
where a function treats each by itself; learners, whose signs and draws follow the order of spots, by what their entry in
`tests/battery/calls.py` names. The processes differ in `PYTHONHASHSEED`.
"""

import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.battery import material, running  # noqa: E402
from tests.battery.call import Call  # noqa: E402
from tests.battery.calls import CALLS  # noqa: E402
from tests.battery.containers import CONTAINERS, held_as  # noqa: E402
from tests.battery.expected import EXPECTED, WRONG_TYPES  # noqa: E402
from tests.battery.outcome import Apart, apart, essence, outcome, rows_of  # noqa: E402

_N_ORDERS = 5


def measure() -> dict[str, pd.DataFrame]:
    """Vary, compare, and list what the battery leaves out."""
    import histoscribe as hs

    mpl.use("Agg")
    warnings.simplefilter("ignore")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        hs.settings.cache_dir, hs.settings.progress, hs.settings.verbosity = Path(folder), False, 0
        for call in CALLS.values():
            if "counts" in call.reads:
                rows.append(_row(call.name, "containers", _containers(call)))
                if not call.hands_on:
                    rows.append(_row(call.name, "gene order", _orders(call, _genes)))
            if call.section is not None and call.returns != "figure" and not call.hands_on:
                rows.append(_row(call.name, "spot order", _orders(call, _spots)))
        rows += _runs()
        rows.append(_processes())
    left = [[check, name, reason] for check, names in EXPECTED.items() for name, reason in names.items()]
    left += [[f"wrong values of {parameter}", name, reason] for (name, parameter), reason in WRONG_TYPES.items()]
    numbers = pd.DataFrame(rows)
    return {"": _summary(numbers, len(left)), "Each function": numbers, "Left out, with the reason": _left(left)}


def _containers(call: Call) -> list[Apart]:
    wanted = outcome(call, material.section())
    return [apart(outcome(call, held_as(material.section(), name)), wanted) for name in CONTAINERS]


def _orders(call: Call, compare: Callable[[Call, np.random.Generator], Apart]) -> list[Apart]:
    return [compare(call, np.random.default_rng(k)) for k in range(_N_ORDERS)]


def _genes(call: Call, rng: np.random.Generator) -> Apart:
    adata = material.section()
    return apart(essence(call, adata[:, rng.permutation(adata.n_vars)].copy()), essence(call, adata))


def _spots(call: Call, rng: np.random.Generator) -> Apart:
    adata, look = material.section(), outcome if call.per_spot else essence
    order = rng.permutation(adata.n_obs)
    shuffled = adata[order].copy()
    return apart(look(call, shuffled), rows_of(look(call, adata), order))


def _runs() -> list[dict[str, Any]]:
    rows = []
    for name, (run, variants) in running.VARIED.items():
        wanted = run()
        for what in dict.fromkeys(key.split(",")[0] for key in variants):
            found = [apart(run(**options), wanted) for key, options in variants.items() if key.startswith(what)]
            rows.append(_row(name, what, found))
    return rows


def _processes() -> dict[str, Any]:
    one, other = (running.elsewhere(hash_seed=seed, n_threads="1") for seed in ("1", "2"))
    differ = [name for name in one if one[name] != other[name]]
    worst = Apart(np.inf, np.inf, str(differ)) if differ else Apart(0.0, 0.0, "")
    return _row(f"all {len(one)} functions and classes", "processes", [worst])


def _row(name: str, varied: str, found: list[Apart]) -> dict[str, Any]:
    return {
        "function": name,
        "varied": varied,
        "variants": len(found),
        "largest": f"{max(one.absolute for one in found):.1e}",
        "of the spread": f"{max(one.relative for one in found):.1e}",
    }


def _summary(numbers: pd.DataFrame, n_left: int) -> pd.DataFrame:
    as_numbers = numbers.astype({"largest": float, "of the spread": float})
    grouped = as_numbers.groupby("varied", sort=False)
    table = grouped.agg(
        functions=("function", "nunique"), variants=("variants", "sum"), largest=("of the spread", "max")
    )
    table["exactly equal"] = grouped["largest"].apply(lambda values: int((values == 0).sum()))
    table["largest, of the spread"] = [f"{value:.1e}" for value in table.pop("largest")]
    table["left out of the battery"] = ""
    table.iloc[0, -1] = str(n_left)
    return table.reset_index()


def _left(rows: list[list[str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["check", "function", "reason"])
