"""What an image encoder is."""

import hashlib
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from ..._errors import ImageError, OptionError

Tiles = NDArray[np.uint8]
Vectors = NDArray[np.float32]


class Encoder(Protocol):
    """Turns tiles into vectors. Encoders with weights, and those of users, look the same from outside."""

    @property
    def name(self) -> str:
        """Public name."""
        ...

    @property
    def size(self) -> int:
        """Side of its input, pixels."""
        ...

    @property
    def mpp(self) -> float:
        """Scale that it was made for, um per pixel of its input."""
        ...

    @property
    def dim(self) -> int:
        """Width of its vectors."""
        ...

    @property
    def patch(self) -> int | None:
        """Side of one patch token, pixels of its input; None where it has no tokens."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of weights and of all else that changes its numbers."""
        ...

    @property
    def record(self) -> dict[str, Any]:
        """Where it comes from and how it was run, in plain values."""
        ...

    def __call__(self, tiles: Any) -> Vectors:
        """Vectors (n, d) of 8-bit RGB tiles (n, size, size, 3)."""
        ...

    def dense(self, tiles: Any) -> Vectors:
        """Patch tokens (n, size // patch, size // patch, d) of tiles, row by row from the top."""
        ...


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An encoder without weights: what its hash says is its name, its version and its numbers."""

    name: str
    version: int
    size: int = 224
    mpp: float = 0.5

    @property
    def features(self) -> tuple[str, ...]:
        """Names of its numbers."""
        raise NotImplementedError

    @property
    def dim(self) -> int:
        """Width of its vectors."""
        return len(self.features)

    @property
    def patch(self) -> None:
        """It has no patch tokens."""
        return

    @property
    def sha256(self) -> str:
        """Hash of name, version, input and the names of its numbers."""
        described = f"{self.name} {self.version} {self.size} {self.mpp} {self.features}"
        return hashlib.sha256(described.encode()).hexdigest()

    @property
    def record(self) -> dict[str, Any]:
        """Where it comes from."""
        return {"source": "histoscribe", "recipe": self.name, "version": self.version}

    def dense(self, tiles: Any) -> Vectors:
        """Refuse: there are no patch tokens."""
        no_tokens(self.name)


class Own:
    """A user's object, given what it may leave out: ``dim``, ``patch``, ``record`` and ``dense``."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.name, self.size, self.mpp, self.sha256 = str(made.name), int(made.size), float(made.mpp), str(made.sha256)
        self.patch: int | None = getattr(made, "patch", None)
        self.record: dict[str, Any] = dict(getattr(made, "record", {"source": f"own object {type(made).__name__}"}))
        self._dim: int | None = getattr(made, "dim", None)

    @property
    def dim(self) -> int:
        """Width of its vectors; one blank tile is encoded if nothing said it before."""
        if self._dim is None:
            self._dim = self(np.full((1, self.size, self.size, 3), 255, dtype=np.uint8)).shape[1]
        return self._dim

    def __call__(self, tiles: Any) -> Vectors:
        """Vectors (n, d) of tiles."""
        vectors = np.asarray(self.made(tiles), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(tiles):
            found = f"shape {vectors.shape} for {len(tiles)} tiles"
            fix = "Return one vector a tile."
            raise OptionError(f"encoder {self.name}", found=found, expected="vectors (n, d)", fix=fix)
        self._dim = vectors.shape[1]
        return vectors

    def dense(self, tiles: Any) -> Vectors:
        """Patch tokens, where the object has them."""
        if self.patch is None or not hasattr(self.made, "dense"):
            no_tokens(self.name)
        return np.asarray(self.made.dense(tiles), dtype=np.float32)


def own(made: Any, names: list[str]) -> Own:
    """Take a user's object for an encoder, or say what it lacks."""
    missing = [name for name in ("name", "size", "mpp", "sha256", "__call__") if not hasattr(made, name)]
    if isinstance(made, type) or missing:
        found = f"{made!r}" + (f" without {missing}" if missing else "")
        fix = "See the documentation of hs.nn.load_encoder for what an encoder object has."
        raise OptionError("encoder", found=found, expected=f"an encoder object or one of {names}", fix=fix)
    return made if isinstance(made, Own) else Own(made)


def no_tokens(name: str) -> NoReturn:
    """Refuse to make patch tokens."""
    fix = "Take a vision transformer, such as kaiko_s16 or uni; or one vector a tile."
    raise OptionError("pooling", found=f"'dense' with {name}", expected="an encoder with patch tokens", fix=fix)


def check_tiles(tiles: Any) -> Tiles:
    """Refuse what is not a batch of 8-bit RGB tiles."""
    tiles = np.asarray(tiles)
    if tiles.ndim != 4 or tiles.shape[3] != 3 or tiles.dtype != np.uint8:
        raise ImageError(
            "tiles",
            found=f"shape {tiles.shape}, {tiles.dtype}",
            expected="8-bit RGB (n, height, width, 3)",
            fix="Scale the channels that stand for red, green and blue to 0-255 and pass that image as uint8.",
        )
    return tiles
