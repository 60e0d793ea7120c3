"""Results of a retrieval: the tile of each query, and those of its matches."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .._checks import check
from .._errors import MissingError, OptionError
from .._keys import Keys
from .._record import AnnDatas, each
from .._sections import sections
from .._types import check_types
from ._colors import PALETTE
from ._layout import Draw, Place, Size, laid_out
from ._strips import CAPTION, GAP, LINES, NAME, SIDE, Tile, draw_tile, name_row, write_below
from ._text import INK, NORMAL, SMALL, TITLE, shortened, wrapped
from ._tile_pixels import tile_pixels, tile_size, usable_tiles

_COLUMNS = ("query", "query_section", "rank", "match", "section", "cosine", "partner")
_PARTNER, _OTHER = (PALETTE[2], 3.0), ("#888888", 0.8)  # frames: colour, points; green stands out on H&E

_Spot: TypeAlias = tuple[str, str]  # name and section


def retrieval(
    adata: AnnDatas,
    found: pd.DataFrame,
    *,
    query_adata: AnnDatas | None = None,
    n_queries: int = 4,
    n_matches: int = 6,
    tiles_key: str = Keys.TILES,
    library_key: str = Keys.LIBRARY_ID,
) -> Figure:
    """Draw a retrieval: a row for each query, its tile and then those of its matches, nearest first, with their cosines.

    The match that is the query itself has a broad green frame. Sections are named where there are several; a spot
    without a tile that can be read is an empty frame. Tiles are read from the linked image; nothing is written.

    Parameters
    ----------
    adata
        What was searched.
    found
        From :func:`histoscribe.tl.retrieve`. Take rows of it to choose queries.
    query_adata
        What was queried by, where that is not ``adata``.
    n_queries, n_matches
        The first queries of ``found``, and the first matches of each.
    tiles_key
        Slot of the boxes.
    library_key
        Column of obs that names the section of each spot.

    Returns
    -------
    The figure.

    Raises
    ------
    MissingError
        There are no tiles, or a spot of ``found`` is not there.
    OptionError
        ``found`` is no result of a retrieval, or no tile can be read.
    ImageError
        A section has no image.

    Examples
    --------
    >>> found = hs.tl.retrieve(adata, adata, model)
    >>> hs.pl.retrieval(adata, found, n_queries=3)
    >>> by_slide = hs.tl.retrieve(adata, slide, model)
    >>> hs.pl.retrieval(adata, by_slide, query_adata=slide)
    """
    check_types(retrieval, locals())
    searched = each(adata)
    asked = [] if query_adata is None else each(query_adata, field="query_adata")
    adatas = [*searched, *asked]
    for name, n in (("n_queries", n_queries), ("n_matches", n_matches)):
        check(name, n, n >= 1, "1 or more")
    rows = _rows(found, n_queries, n_matches)
    keys = {"tiles_key": tiles_key, "library_key": library_key}
    matches = [spot for own in rows.values() for spot in zip(own["match"], own["section"], strict=True)]
    of_matches = _tiles(searched, 0, matches if asked else [*matches, *rows], **keys)
    of_queries = _tiles(asked, len(searched), rows, **keys) if asked else of_matches
    chosen = list(dict.fromkeys(tile for tile in [*of_queries.values(), *of_matches.values()] if tile is not None))
    if not chosen:
        fix = "Run hs.pp.tile(adata) again and look at its log."
        raise OptionError(f"obsm[{str(tiles_key)!r}]", found="no tile that can be read", expected="some", fix=fix)
    pixels = tile_pixels(adatas, chosen)
    several = len({name for one in adatas for name in sections(one, library_key)}) > 1
    draws: dict[Place, Draw] = {}
    for i, (query, own) in enumerate(rows.items()):
        draws[i, 0] = partial(
            _draw_query,
            pixels=_of(pixels, of_queries[query]),
            spot=query,
            several=several,
            by=found.attrs.get("modality"),
        )
        for k, match in enumerate(own.to_dict("records")):
            seen = _of(pixels, of_matches[match["match"], match["section"]])
            draws[i, k + 1] = partial(_draw_match, pixels=seen, match=match, first=k == 0, several=several)
    figure = laid_out(draws, (SIDE, SIDE), gap=GAP, below=CAPTION)
    write_below(figure, tile_size(adatas, chosen))
    return figure


def _rows(found: pd.DataFrame, n_queries: int, n_matches: int) -> dict[_Spot, pd.DataFrame]:
    """Cut the matches of the first queries out, by name and section of the query."""
    lacking = [name for name in _COLUMNS if name not in found]
    if lacking or found.empty:
        said = f"no columns {lacking}" if lacking else "no rows"
        fix = "Pass what hs.tl.retrieve returned."
        raise OptionError("found", found=said, expected="the result of a retrieval", fix=fix)
    queries = found[["query", "query_section"]].drop_duplicates().head(n_queries)
    shown = found.merge(queries).sort_values("rank", kind="stable").groupby(["query", "query_section"])
    return {(name, section): shown.get_group((name, section)).head(n_matches) for name, section in queries.to_numpy()}


def _tiles(
    adatas: Sequence[AnnData], before: int, spots: Collection[_Spot], *, tiles_key: str, library_key: str
) -> dict[_Spot, Tile | None]:
    """Tile of each spot, None where it has none that can be read; ``before`` is how many AnnData were passed before."""
    wanted, tiles = set(spots), dict[_Spot, Tile | None]()
    for i, one in enumerate(adatas, start=before):
        usable = {tile.row: tile for tile in usable_tiles(one, i, tiles_key, library_key)}
        for section, rows in sections(one, library_key).items():
            for row in rows:
                if (spot := (str(one.obs_names[row]), section)) in wanted:
                    tiles[spot] = usable.get(row)
    absent = [spot for spot in spots if spot not in tiles]
    if absent:
        name, section = absent[0]
        fix = "Pass the adata that was searched, and query_adata= where the queries are of another."
        where = f"spot {name!r} of section {section!r}"
        raise MissingError("found", found=where, expected="spots of the sections passed", fix=fix)
    return tiles


def _of(pixels: Mapping[Tile, NDArray], tile: Tile | None) -> NDArray | None:
    return None if tile is None else pixels[tile]


def _draw_query(ax: Axes, size: Size, *, pixels: NDArray | None, spot: _Spot, several: bool, by: str | None) -> None:
    draw_tile(ax, size, pixels=pixels, color=INK, width=_OTHER[1])
    name_row(ax, "\n".join(wrapped(name, NORMAL, NAME, LINES) for name in (spot if several else spot[:1])))
    _write_above(ax, ["query" if by is None else f"query, by its {by}"])
    ax.text(1.13, 0.5, "→", size=TITLE, color=INK, ha="center", va="center", transform=ax.transAxes)


def _draw_match(
    ax: Axes, size: Size, *, pixels: NDArray | None, match: Mapping[str, Any], first: bool, several: bool
) -> None:
    color, width = _PARTNER if match["partner"] else _OTHER
    draw_tile(ax, size, pixels=pixels, color=color, width=width)
    cosine = f"{'cosine ' if first else ''}{match['cosine']:.2f}{' (itself)' if match['partner'] else ''}"
    section = [shortened(match["section"], SMALL, SIDE)] if several else []
    _write_above(ax, [*section, cosine])


def _write_above(ax: Axes, lines: Sequence[str]) -> None:
    ax.set_title("\n".join(lines), size=SMALL, color=INK, pad=4, linespacing=1.1, parse_math=False)
