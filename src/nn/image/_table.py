"""The table of image encoders: those without weights by their class, the others by a line of encoders.toml."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ..._errors import MissingError, OptionError
from ..._registry import Registry

if TYPE_CHECKING:
    import pandas as pd

_RECIPES = Registry(
    "encoder", __package__, {"mean_rgb": "._mean_rgb:MeanRGB", "stain_stats": "._stain_stats:StainStats"}
)

NORMS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "lunit": ((0.70322989, 0.53606487, 0.66096631), (0.21716536, 0.26081574, 0.20723464)),
    "h_optimus": ((0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)),
    "hibou": ((0.7068, 0.5755, 0.722), (0.195, 0.2316, 0.1816)),
    "genbio": ((0.697, 0.575, 0.728), (0.188, 0.240, 0.187)),
}
"""Mean and standard deviation of red, green and blue, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is known of an encoder with weights; the fields are explained on top of encoders.toml."""

    name: str
    source: str
    architecture: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    revision: str = "unpinned"
    sha256: str | None = None
    poolings: tuple[str, ...] = ("cls",)
    dim: tuple[int, ...] = ()
    norm: str | None = None
    interpolation: str = "bicubic"
    size: int = 224
    mpp: float = 0.5
    parameters: float | None = None
    licence: str = "see its page"
    gated: bool = False
    notes: str = ""
    instead: str = ""

    @property
    def pinned(self) -> bool:
        """Whether a revision is known."""
        return self.revision != "unpinned"

    @property
    def loadable(self) -> str:
        """Whether its name is enough (``yes``), a file must be converted first (``convert``), or neither (``no``)."""
        return "no" if self.source == "none" else "convert" if self.source.startswith("file:") else "yes"


@cache
def rows() -> dict[str, Row]:
    """Read the encoders with weights, by name."""
    table: Mapping[str, Any] = tomllib.loads(files(__package__).joinpath("encoders.toml").read_text(encoding="utf-8"))
    listed = ("poolings", "dim")  # TOML has lists, a row is frozen
    return {
        name: Row(name=name, **{**line, **{key: tuple(line[key]) for key in listed if key in line}})
        for name, line in table.items()
    }


def known(name: str) -> str | None:
    """Name in the table that a user means: capitals, dashes, dots, slashes and spaces make no difference."""
    return {_bare(one): one for one in (*_RECIPES, *rows())}.get(_bare(name))


def _bare(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign not in "-./_ ")


def unknown(name: str, others: list[str]) -> MissingError:
    """Error for a name that nobody knows, with the three nearest."""
    near = get_close_matches(name, [*_RECIPES, *rows(), *others], n=3, cutoff=0.4)
    fix = f"Did you mean {', '.join(near)}? " if near else ""
    expected = "a name of hs.nn.encoders(), a timm name, or hf-hub:, local-dir: or transformers: and a place"
    return MissingError("encoder", found=repr(name), expected=expected, fix=f"{fix}See hs.nn.encoders() for all names.")


def recipe(name: str, *, size: int | None, mpp: float | None, refused: Mapping[str, object]) -> Any:
    """Make an encoder without weights."""
    given = [option for option, value in refused.items() if value is not None]
    if given:
        fix = "Leave them out: they are for encoders with weights."
        raise OptionError(given[0], found=repr(refused[given[0]]), expected=f"None for {name}", fix=fix)
    options = {key: value for key, value in (("size", size), ("mpp", mpp)) if value is not None}
    return _RECIPES[name](**options)


class Encoders(Mapping[str, Callable[..., Any]]):
    """Name → what makes the encoder: ``ENCODERS["stain_stats"]()``. Listing it loads nothing."""

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name in _RECIPES:
            made: Callable[..., Any] = _RECIPES[name]
            return made
        if name not in rows():
            raise unknown(str(name), [])
        from ._load import load_encoder

        return partial(load_encoder, name)

    def __iter__(self) -> Iterator[str]:
        return iter((*_RECIPES, *rows()))

    def __len__(self) -> int:
        return len(_RECIPES) + len(rows())


ENCODERS = Encoders()


def encoders() -> "pd.DataFrame":
    """List all image encoders that are known by name.

    Returns
    -------
    One row an encoder. ``pooling`` is the default of ``poolings`` and ``dim`` its width; ``size`` (pixels) and ``mpp``
    (um per pixel) are the tile it expects; ``parameters`` are in millions; ``pinned`` says whether ``revision`` is known;
    ``loadable`` is ``yes``, ``convert`` (a file goes through :func:`~histoscribe.nn.convert_weights` first) or ``no``,
    and then ``notes`` say what to do.

    Examples
    --------
    >>> table = hs.nn.encoders()
    >>> table[~table["gated"] & (table["loadable"] == "yes")]
    """
    import pandas as pd

    table = pd.DataFrame([*(_recipe_line(name) for name in _RECIPES), *(_line(row) for row in rows().values())])
    return table.astype({"dim": "Int64"})


def _recipe_line(name: str) -> dict[str, Any]:
    made = _RECIPES[name]()
    line = {"name": name, "source": "histoscribe", "dim": made.dim, "pooling": "", "poolings": ""}
    line |= {"size": made.size, "mpp": made.mpp, "parameters": 0.0, "licence": "MIT", "gated": False}
    line |= {"weights": False, "loadable": "yes", "pinned": True, "revision": f"version {made.version}", "notes": ""}
    return line


def _line(row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {"name": row.name, "source": row.source, "dim": row.dim[0] if row.dim else None}
    line |= {"pooling": row.poolings[0], "poolings": " ".join(row.poolings), "size": row.size, "mpp": row.mpp}
    line |= {"parameters": row.parameters, "licence": row.licence, "gated": row.gated, "weights": True}
    line |= {"loadable": row.loadable, "pinned": row.pinned, "revision": row.revision}
    return line | {"notes": " ".join(filter(None, (row.notes, row.instead)))}
