"""One progress bar for all long work."""

from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm

from ._settings import settings


def progress(iterable: Iterable[Any] | None = None, *, desc: str, total: int | None = None, unit: str = "it") -> tqdm:
    """Show a progress bar; silent when settings say so and, outside notebooks, when nobody watches."""
    silent = not settings.progress or settings.verbosity == 0
    # None leaves it to tqdm, which is silent where the output is not a terminal.
    return tqdm(iterable, desc=desc, total=total, unit=unit, disable=True if silent else None, leave=False)
