"""How much of a spot's label can be read off its vector by a linear model, on patients it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check, is_count, is_number
from .._errors import OptionError
from .._keys import Keys
from .._progress import progress
from .._record import AnnDatas
from .._types import check_types
from ..metrics import block_bootstrap
from ._probe_folds import Fold, Folds, Piece, folds_of, inner_groups, pieces_of
from ._probe_labels import Labels, labels_of
from ._probe_logistic import Scaling, choose, path, predict, recalls
from ._probe_reps import Reps, Source, Vectors, named

_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)


def linear_probe(
    adatas: AnnDatas,
    target: str,
    *,
    use_rep: Reps,
    patients: str = Keys.PATIENT,
    folds: Folds = None,
    drop: Sequence[str] = (),
    min_spots: int = 10,
    strengths: Sequence[float] = _STRENGTHS,
    per_class: bool = False,
    n_bootstrap: int = 0,
    block_um: float = 500.0,
    library_key: str = Keys.LIBRARY_ID,
    random_state: int = 0,
) -> pd.DataFrame:
    """Predict labels of spots of patients that were left out, by logistic regression on vectors.

    Vectors are standardised, and the model is fitted, on the training side of each fold alone; it is class-balanced,
    with an L2 penalty whose strength is chosen by leaving out training patients in turn (up to five groups of them;
    sections where one patient trains; quarters of the section where there is one). Labels alone decide which classes
    count: a missing label is no class, and classes that are dropped, too small, or seen in one patient only are left
    out, for they can't be learnt across patients.

    Parameters
    ----------
    adatas
        Sections of two patients or more: one AnnData, or a list. Nothing is written.
    target
        Column of ``obs`` with the labels.
    use_rep
        What to judge: the name of a slot of ``obsm``, several names whose vectors are joined, or a function for what
        must be learned on training sections only. It gets them as a list of AnnData, one a section, without the
        labels, and returns a function that makes the vectors (n, d) of one such AnnData. A mapping of labels to any of
        these compares them on the same folds and spots.
    patients
        Column of ``obs`` with the unit that is left out. Sections of one patient in training and test are
        interpolation: the result says so in ``split``, and the log warns.
    folds
        Pairs of values of that column, (train, test), each a value or a list, or a mapping of names to such pairs;
        None leaves out each value once.
    drop
        Labels that are no classes, such as ``("undetermined",)``.
    min_spots
        Spots that a class must have in all.
    strengths
        Inverse penalties to choose from, scikit-learn's ``C``; a single one is used as it is.
    per_class
        Return a row for each class of the test side, with its recall, instead of one for all.
    n_bootstrap
        Resamples of spatial blocks of the test sections, for an interval of the balanced accuracy; 0 for none.
    block_um
        Side of a block, um.
    library_key
        Column of ``obs`` that says the section of a spot.
    random_state
        Seed of the resamples.

    Returns
    -------
    A row for each fold and representation: ``rep``; ``split``, ``"patient"`` or ``"same patient"``; ``test``, what was
    left out; ``balanced_accuracy``, the mean of the recall over the classes that the test side has; ``chance``, what
    guessing one of these classes gives, the most that vectors without a link to the labels can expect; ``accuracy``;
    ``macro_f1``; ``n_classes`` of the training side and ``n_classes_test``; ``n_train`` and ``n_test`` spots;
    ``n_left_out``, labelled spots of the test side without vectors or of a class that the training side lacks; ``C``,
    ``inner``, what it was chosen on, and ``inner_accuracy``, its balanced accuracy there, by which representations may
    be chosen without a look at the test side; ``low`` and ``high``, 95 % of the resamples, if asked for. ``attrs`` holds
    the spots of each class, and what was left out and why.

    Raises
    ------
    MissingError
        A column or a slot is missing.
    OptionError
        Fewer than two patients or classes, folds that overlap, or a value that is not allowed.

    References
    ----------
    Alain and Bengio 2016, arXiv:1610.01644.

    Examples
    --------
    >>> hs.tl.linear_probe(sections, "region", use_rep="X_image", drop=("undetermined",))

    Principal components are learned on the training patients of each fold, and compared with coordinates alone:

    >>> def pca(train):
    ...     model = hs.tl.fit_pca(train, n_comps=30)
    ...     return lambda adata: hs.tl.encode_genes(adata, model, copy=True).obsm["X_genes"]
    >>> frame = hs.tl.linear_probe(sections, "region", use_rep={"PCA": pca, "coordinates": "spatial"})
    >>> frame.groupby("rep")["balanced_accuracy"].mean()
    """
    check_types(linear_probe, locals())
    check("block_um", block_um, is_number(block_um, 1e-9), "a length in um")
    _check_options(min_spots, strengths, n_bootstrap)
    pieces = pieces_of(adatas, patients, library_key)
    made = folds_of(pieces, folds, patients)
    labels = labels_of(pieces, target, drop, min_spots)
    source = Source(named(use_rep), pieces)
    rows: list[dict[str, Any]] = []
    for fold in progress(made, desc="linear probe", unit="fold"):
        for rep, vectors in source.of(fold, lambda piece: _blind(piece, target)).items():
            result = _probed(fold, pieces, labels, vectors, strengths)
            start = {"rep": rep, "split": fold.split, "test": fold.name}
            spread = _spread(result, fold, pieces, library_key, n_bootstrap, block_um, random_state)
            rows += [{**start, **row} for row in (_by_class(result) if per_class else [{**_in_all(result), **spread}])]
    frame = pd.DataFrame(rows)
    left_out = {"classes": labels.left_out, "spots_without_label": labels.n_missing}
    frame.attrs = {"target": target, "classes": labels.classes, "left_out": left_out}
    return frame


@dataclass(frozen=True)
class _Result:
    """Truth and prediction of the spots of the test side, and how the model came about."""

    truth: NDArray[Any]
    found: NDArray[Any]
    rows: NDArray[np.intp]  # of the test pieces, stacked
    n_train: int
    n_left_out: int
    classes: NDArray[Any]
    strength: float
    inner: str
    inner_accuracy: float


def _check_options(min_spots: int, strengths: Sequence[float], n_bootstrap: int) -> None:
    check("min_spots", min_spots, is_count(min_spots), "a whole number, 1 or more")
    check("n_bootstrap", n_bootstrap, is_count(n_bootstrap, 0), "a whole number, 0 for none")
    ok = len(strengths) > 0 and all(is_number(c, 1e-12) for c in strengths)
    check("strengths", strengths, ok, "positive numbers, small for a strong penalty")


def _blind(piece: Piece, target: str) -> AnnData:
    """Section for functions that learn a representation: without the labels."""
    shown = piece.view().copy()
    del shown.obs[target]
    return shown


def _probed(
    fold: Fold, pieces: Sequence[Piece], labels: Labels, vectors: dict[int, Vectors], strengths: Sequence[float]
) -> _Result:
    x, y, ok = _side(fold.train, labels, vectors)
    test_x, test_y, test_ok = _side(fold.test, labels, vectors)
    classes = np.unique(y)
    known = np.isin(test_y, classes)
    if len(classes) < 2 or not known.any():
        found = f"classes {list(classes)} to train on, {known.sum()} spots to test on in fold {fold.name!r}"
        raise OptionError("folds", found=found, expected="two classes, and a spot", fix="Choose others, or use_rep=.")
    strength, inner, accuracy = float(strengths[0]), "none", np.nan
    if len(strengths) > 1:
        groups, inner = inner_groups([pieces[k] for k in fold.train])
        strength, accuracy = choose(x, y, np.concatenate(groups)[ok], strengths)
    scale = Scaling(x)
    predicted = predict(path(scale(x), y, [strength])[0], scale(test_x[known]))
    rows = np.flatnonzero(test_ok)[known]
    n_left_out = sum(label is not None for k in fold.test for label in labels.of[k]) - len(rows)
    return _Result(test_y[known], predicted, rows, len(y), n_left_out, classes, strength, inner, accuracy)


def _side(
    numbers: Sequence[int], labels: Labels, vectors: dict[int, Vectors]
) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[np.bool_]]:
    x = np.concatenate([vectors[k] for k in numbers])
    y = np.concatenate([labels.of[k] for k in numbers])
    ok = np.isfinite(x).all(axis=1) & np.array([label is not None for label in y], dtype=bool)
    return x[ok].astype(np.float64), y[ok].astype(str), ok


def _in_all(result: _Result) -> dict[str, Any]:
    from sklearn.metrics import f1_score

    recall = recalls(result.truth, result.found)
    f1 = f1_score(result.truth, result.found, labels=list(recall), average="macro", zero_division=0)
    return {
        "balanced_accuracy": _balanced(result.truth, result.found),
        "chance": 1 / len(recall),
        "accuracy": float((result.truth == result.found).mean()),
        "macro_f1": float(f1),
        "n_classes": len(result.classes),
        "n_classes_test": len(recall),
        "n_train": result.n_train,
        "n_test": len(result.truth),
        "n_left_out": result.n_left_out,
        "C": result.strength,
        "inner": result.inner,
        "inner_accuracy": result.inner_accuracy,
    }


def _by_class(result: _Result) -> list[dict[str, Any]]:
    recall = recalls(result.truth, result.found)
    size = {name: int((result.truth == name).sum()) for name in recall}
    chance = 1 / len(recall)
    return [{"class": str(name), "recall": r, "chance": chance, "n_test": size[name]} for name, r in recall.items()]


def _balanced(truth: NDArray[Any], found: NDArray[Any]) -> float:
    return float(np.mean(list(recalls(truth, found).values())))


def _spread(
    result: _Result,
    fold: Fold,
    pieces: Sequence[Piece],
    library_key: str,
    n_bootstrap: int,
    block_um: float,
    random_state: int,
) -> dict[str, float]:
    if not n_bootstrap:
        return {}
    tested = [pieces[k] for k in fold.test]
    xy = np.concatenate([piece.xy_um(library_key) for piece in tested])[result.rows]
    section = np.concatenate([np.full(len(piece.rows), k) for k, piece in enumerate(tested)])[result.rows]
    classes = np.unique(result.truth)
    spread = block_bootstrap(
        lambda truth, found: _balanced(truth, found) if len(np.unique(truth)) == len(classes) else np.nan,
        [result.truth, result.found],
        xy,
        block_um=block_um,
        groups=section,
        n_resamples=n_bootstrap,
        random_state=random_state,
    )
    return {"low": spread["low"], "high": spread["high"]}
