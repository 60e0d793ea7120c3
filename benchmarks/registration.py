"""Registration: pixels of spots, and faults that are caught.

*Painted*: 1,000 random cases (rotation, shear, mirror, scale between the frames; um per pixel; image smaller than the frame;
formats; fractional positions and crops, boxes over the border) from landmarks to patches through the public functions, on
images with a disc of its own colour for each spot: the share of patches whose centre shows it, and the distance of the
disc's centre from the patch's, in pixels of the patch and of the image or pyramid level that it is read from.

*Faults*: each is planted in the real sections with full H&E images (her2st B4, C2 to C6; mouse olfactory bulb 1 to 4) and in
three toy sections, and `check_registration` is asked. `caught`: the verdict is that image and spots do
not fit; `named`: so says the check that should; `cannot tell` and `passed` are the rest. *Expression alone* knows no array
and no place without a spot, so that only the image and the counts are left. *Counts of other spots*: each spot has the counts
of the spot opposite, smooth over the tissue and unrelated to it; signal 0: so are those of the toys. There nothing can be
right or wrong by the counts; of real sections the outline still fits, and that alone must not pass.
"""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import OfflineError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

SEEDS = range(1)
SECTIONS = ("B4", "C2", "C3", "C4", "C5", "C6", 1, 2, 3, 4)
FAULTS = {
    "none": "",
    "shift of a pitch": "shift",
    "shift of half a pitch": "shift",
    "mirror": "orientation",
    "x and y swapped": "orientation",
    "quarter turn": "orientation",
    "positions 10 % too large": "scale",
    "positions 10 % too small": "scale",
    "um per pixel 10 % too large": "pitch",
    "counts of other spots": "counts",
}


def _painted() -> list[dict[str, str]]:
    import test_painted as painted

    found: dict[tuple[str, str], list[np.ndarray]] = {}
    right: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _, case in painted.cases():
            shown = painted.patches(painted.registered(case, Path(folder) / "slide"), case.size)
            for kind in (("painted, " + case.format, ""), ("painted, " + case.motion, "")):
                found.setdefault(kind, []).append(painted.errors(case, shown))
                right.setdefault(kind, []).append(painted.own_colour(case, shown).mean())
    rows = []
    for kind, values in found.items():
        both = np.concatenate(values)
        largest, median = both.max(axis=0), np.median(both, axis=0)
        error = f"{largest[0]:.3f} / {largest[1]:.3f} px (median {median[0]:.3f} / {median[1]:.3f})"
        cases = f"{len(values)} cases, {len(both)} patches"
        rows.append({"what": kind[0], "n": cases, "own colour": f"{np.mean(right[kind]):.1%}", "largest error": error})
    return sorted(rows, key=lambda row: row["what"])


def _sections() -> Iterator[tuple[str, AnnData]]:
    for name in SECTIONS:
        real = hs.datasets.mouse_olfactory_bulb(name) if isinstance(name, int) else hs.datasets.her2st(name)
        yield "real sections", real
        bare = real.copy()
        del bare.obs["array_row"], bare.obs["array_col"]
        yield "real, expression alone", bare
    for seed in range(3):
        yield "toy", hs.datasets.toy(random_state=seed)
        yield "toy, signal 0", hs.datasets.toy(plant=hs.datasets.Plant(signal=0), random_state=seed)


def _planted(adata: AnnData, fault: str, seed: int) -> AnnData:
    adata = adata.copy()
    xy, (name,) = adata.obsm["spatial"], adata.uns["spatial"]
    with hs.io.open_image(adata) as image:
        width = image.width
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    nearest = np.median(np.sort(np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)), axis=1)[:, 1])
    step = nearest * np.array([np.cos(angle), np.sin(angle)])
    moved = {
        "shift of a pitch": lambda: xy + step,
        "shift of half a pitch": lambda: xy + step / 2,
        "mirror": lambda: xy * [-1, 1] + [width, 0],
        "x and y swapped": lambda: xy[:, ::-1],
        "quarter turn": lambda: np.column_stack([width - xy[:, 1], xy[:, 0]]),
        "positions 10 % too large": lambda: 1.1 * xy,
        "positions 10 % too small": lambda: 0.9 * xy,
    }
    if fault in moved:
        adata.obsm["spatial"] = np.ascontiguousarray(moved[fault]())
    elif fault == "um per pixel 10 % too large":
        adata.uns["spatial"][name]["metadata"]["mpp"] *= 1.1
    elif fault == "counts of other spots":
        opposite = xy.min(axis=0) + xy.max(axis=0) - xy
        order = np.hypot(*(opposite[:, None] - xy[None]).transpose(2, 0, 1)).argmin(axis=1)
        adata.layers["counts"] = adata.layers["counts"][order]
    return adata


def _faults() -> list[dict[str, str]]:
    verdicts: dict[tuple[str, str], list[tuple[bool, bool, bool]]] = {}
    for group, section in _sections():
        for fault, check in FAULTS.items():
            if check == "pitch" and group == "real, expression alone":
                continue  # only the array knows
            for seed in SEEDS:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = hs.pp.check_registration(_planted(section, fault, seed), random_state=seed)
                ok = found.set_index("check")["ok"].astype(object).where(lambda one: one.notna(), None)
                said = ok[[check] if check != "shift" else ["shift", "outline"]] if check else ok[:0]
                one = ok["verdict"]
                verdicts.setdefault((group, fault), []).append((one is False, one is None, False in list(said)))
    rows = []
    for (group, fault), values in sorted(
        verdicts.items(), key=lambda item: (item[0][0], list(FAULTS).index(item[0][1]))
    ):
        caught, unknown, named = np.mean(values, axis=0)
        rows.append(
            {
                "what": f"{group}: {fault}",
                "n": f"{len(values)}",
                "caught": f"{caught:.0%}",
                "named": f"{named:.0%}" if FAULTS[fault] else "",
                "cannot tell": f"{unknown:.0%}",
                "passed": f"{max(0.0, 1 - caught - unknown):.0%}",
            }
        )
    return rows


def measure() -> pd.DataFrame | None:
    """Return the painted cases by kind, and what became of each fault."""
    try:
        faults = _faults()
    except OfflineError:
        return None
    return pd.DataFrame([*_painted(), *faults]).fillna("")
