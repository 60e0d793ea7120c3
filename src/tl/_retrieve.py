"""Retrieval: the spots whose genes lie nearest to an image, or whose image lies nearest to genes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check
from .._errors import MissingError, OptionError
from .._keys import Keys
from .._record import AnnDatas, each
from .._sections import sections
from .._types import check_types, fits
from ..nn import Model
from ._embed import joint_vectors, slots_of
from ._loaders import parts
from ._nearest import nearest

_OTHER = {"image": "genes", "genes": "image"}
_SAID = 3  # names in a message


def retrieve(
    adata: AnnDatas,
    query: str | Sequence[str] | AnnDatas,
    model: Model,
    *,
    modality: str = "image",
    target: str | None = None,
    k: int = 10,
    image_rep: str | None = None,
    gene_rep: str | None = None,
    layer: str | None = None,
    library_key: str = Keys.LIBRARY_ID,
    device: str | None = None,
) -> pd.DataFrame:
    """Find the spots whose genes lie nearest to the image of a query in the joint space, or whose image to its genes.

    All vectors are computed by the model, whatever ``obsm`` holds of earlier ones, and nothing is written. The search
    is exact; its time grows with queries times spots, its memory does not. Spots that lack the modality that is
    searched are never found.

    Parameters
    ----------
    adata
        What is searched: a section, or a list of them. Pass one section alone to search within it.
    query
        Names of spots of ``adata``; or another section, or a list of them, each spot of which is a query, such as a
        slide with image vectors alone. Pass ``adata`` again to query by all its spots.
    model
        From :func:`fuse`.
    modality
        What is read of a query: ``"image"`` or ``"genes"``.
    target
        What is read of the spots that are searched; the other modality where left out. The same one finds spots that
        look alike, or express alike, as far as the modalities share it.
    k
        Matches of each query; fewer where fewer spots can be found.
    image_rep, gene_rep
        Slots with image and gene vectors; those of training where left out.
    layer
        Layer with raw counts, for a model with a gene encoder of its own; that of training where left out. Where that encoder
        ranks genes with ``rank="section"``, search and ask by whole sections, or by names of their spots.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several.
    device
        Name of a torch device.

    Returns
    -------
    A row for each query and rank, in the order of the queries: ``query`` and ``query_section``; ``rank``, from 1;
    ``match`` and ``section``, which together say the spot that was found; ``cosine``, to six decimals, where equal ones
    come in the order of ``adata``; and ``partner``, whether the match is the query itself. That is known of names, and
    of an AnnData that is searched and queried by; it is False for any other. ``attrs["modality"]`` is that of the query.

    Raises
    ------
    MissingError
        No spot has such a name, or a slot is missing, or a query or all of ``adata`` lack the modality.
    CountsError, GenesError
        Of a model with a gene encoder of its own: no raw counts, or hardly any of genes that it knows.
    OptionError
        Unknown modality, a ``k`` below 1, names that stand for several spots, or vectors of another encoder than in
        training.

    Examples
    --------
    >>> found = hs.tl.retrieve(adata, ["AAACAAGTATCTCCCA-1", "AAACACCAATAACTGC-1"], model)
    >>> hs.tl.retrieve([first, second], new_slide, model)  # spots that express what the slide shows
    >>> hs.pl.retrieval(adata, found)
    """
    check_types(retrieve, locals())
    target = _OTHER.get(modality, "genes") if target is None else target
    for name, value in (("modality", modality), ("target", target)):
        check(name, value, value in _OTHER, "'image' or 'genes'", fix="Choose one of these.")
    check("k", k, k >= 1, "1 or more", fix="Pass how many matches are wanted.")
    searched = each(adata)
    spots = _stacked(searched, library_key, "adata")
    whole = modality == "genes" and "counts" in model.meta
    if _holds_sections(query):
        asked = _by_sections(query, searched, library_key)
    else:
        asked = _by_names(query, searched, spots, whole=whole)
    reps = {"image": image_rep, "genes": gene_rep}
    joint = partial(
        joint_vectors,
        model=model,
        image_rep=image_rep,
        gene_rep=gene_rep,
        layer=layer,
        library_key=library_key,
        device=device,
    )
    x, ok = joint(asked.adatas, modality=modality)
    _check_queries(asked, ok[asked.rows], _field(model, modality, reps))
    vectors, ok = joint(searched, modality=target)
    if not ok.any():
        fix = f"Search spots that have {target}, or choose another target=."
        raise MissingError(_field(model, target, reps), found="no result in any row", expected="some", fix=fix)
    rows, cosine = nearest(x[asked.rows], vectors[ok], k)
    table = _table(asked, spots, np.flatnonzero(ok)[rows], cosine)
    table.attrs["modality"] = modality  # a picture of it says by what was asked
    return table


@dataclass(frozen=True)
class _Asked:
    """Queries.

    Attributes
    ----------
    spots
        Name and section of each.
    adatas, rows
        Sections that hold them, and the row of each among the stacked rows of these.
    own
        Row of each among the stacked rows that are searched; -1 where it is not.
    """

    spots: pd.DataFrame
    adatas: Sequence[AnnData]
    rows: NDArray[np.intp]
    own: NDArray[np.intp]


def _stacked(adatas: Sequence[AnnData], library_key: str, field: str) -> pd.DataFrame:
    """Names of all spots and of their sections; together they must tell spots apart."""
    found = [pd.DataFrame({"name": one.obs_names.astype(str).to_numpy(dtype=object), "section": ""}) for one in adatas]
    for one, own in zip(adatas, found, strict=True):
        for name, rows in sections(one, library_key).items():
            own.loc[rows, "section"] = name
    spots = pd.concat(found, ignore_index=True)
    twice = spots.duplicated().to_numpy()
    if twice.any():
        name, section = spots[twice].iloc[0]
        several = f"duplicates in {section!r}, such as {name!r}"
        fix = f"Run obs_names_make_unique(), or name sections that differ in obs[{str(library_key)!r}]."
        raise OptionError(f"obs_names of {field}", found=several, expected="a name a spot in a section", fix=fix)
    return spots


def _holds_sections(query: Any) -> bool:
    many = isinstance(query, (list, tuple))
    return any(isinstance(one, AnnData) for one in (query if many else [query]))


def _by_sections(query: AnnDatas, searched: Sequence[AnnData], library_key: str) -> _Asked:
    adatas = each(query, field="query")
    n = sum(one.n_obs for one in searched)
    of = dict(zip(map(id, searched), parts(searched, np.arange(n)), strict=True))
    own = np.concatenate([of.get(id(one), np.full(one.n_obs, -1)) for one in adatas])
    return _Asked(_stacked(adatas, library_key, "query"), adatas, np.arange(len(own)), own)


def _by_names(query: Any, searched: Sequence[AnnData], spots: pd.DataFrame, *, whole: bool) -> _Asked:
    """Find queries by name; ``whole`` sections are embedded where a gene encoder compares spots with their section."""
    own = _rows_of(query, spots)
    if whole:
        return _Asked(spots.iloc[own], searched, own, own)
    asked = np.zeros(len(spots), dtype=bool)
    asked[own] = True
    # Of each section the queries alone are embedded: a model may have to read their tiles.
    adatas = [one[rows] for one, rows in zip(searched, parts(searched, asked), strict=True) if rows.any()]
    return _Asked(spots.iloc[own], adatas, np.searchsorted(np.flatnonzero(asked), own), own)


def _rows_of(query: Any, spots: pd.DataFrame) -> NDArray[np.intp]:
    """Rows of the spots of these names."""
    names = [query] if isinstance(query, str) else query
    if not fits(names, Sequence[str]) or not len(names):
        fix = "Pass one name or more of adata.obs_names, or a section."
        raise OptionError("query", found=repr(query)[:80], expected="names of spots, or an AnnData", fix=fix)
    held = spots["name"][spots["name"].isin(names)]
    unknown = [name for name in names if name not in set(held)]
    if unknown:
        some = f"names of adata, such as {list(spots['name'][:_SAID])}"
        raise MissingError("query", found=_said(unknown), expected=some, fix="Pass names of adata.obs_names.")
    twice = [*held[held.duplicated()]]
    if twice:
        fix = "Make the names unique (adata.obs_names_make_unique()), or pass the section that holds it as query=."
        raise OptionError("query", found=f"{_said(twice)} in several sections", expected="one spot a name", fix=fix)
    if len(set(names)) < len(names):
        raise OptionError("query", found="a name twice", expected="each name once", fix="Leave the others out.")
    return pd.Series(held.index, index=held).loc[list(names)].to_numpy(dtype=np.intp)


def _check_queries(asked: _Asked, ok: NDArray[np.bool_], field: str) -> None:
    if not ok.all():
        lacking = asked.spots["name"][~ok].tolist()
        fix = "Leave them out of query, or ask by the other modality."
        raise MissingError(field, found=f"no result for {_said(lacking)}", expected="one for every query", fix=fix)


def _said(names: Sequence[str]) -> str:
    more = len(names) - _SAID
    return ", ".join(map(repr, names[:_SAID])) + (f" and {more} more" if more > 0 else "")


def _field(model: Model, modality: str, reps: Mapping[str, str | None]) -> str:
    slots = slots_of(model)
    slot = slots.get(modality) or slots["tiles" if modality == "image" else "counts"]
    return f"{slot.where}[{reps[modality] or str(slot)!r}]"


def _table(asked: _Asked, spots: pd.DataFrame, rows: NDArray[np.intp], cosine: NDArray[np.float64]) -> pd.DataFrame:
    n, k = rows.shape
    matches = spots.iloc[rows.ravel()]
    columns = {
        "query": asked.spots["name"].to_numpy().repeat(k),
        "query_section": asked.spots["section"].to_numpy().repeat(k),
        "rank": np.tile(np.arange(1, k + 1), n),
        "match": matches["name"].to_numpy(),
        "section": matches["section"].to_numpy(),
        "cosine": cosine.ravel(),
        "partner": (rows == asked.own[:, None]).ravel(),
    }
    return pd.DataFrame(columns)
