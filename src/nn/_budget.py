"""A bound on what a description may build: networks are described in files that others wrote."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .._errors import FileError, HistoscribeError

# Beside its weights a network makes buffers, and draws numbers that the weights then replace.
_TIMES, _NUMBERS, _TENSORS = 4, 1 << 25, 3000
_MAKERS = ("empty", "zeros", "ones", "full", "rand", "randn", "randint", "normal", "eye", "arange", "linspace")


class _Budget(TorchDispatchMode):
    """Counts the tensors that are made, before they are made."""

    def __init__(self, tensors: Mapping[str, Tensor], source: str) -> None:
        super().__init__()
        self.source = source
        self.held = sum(tensor.numel() for tensor in tensors.values())
        self.numbers, self.tensors = _TIMES * self.held + _NUMBERS, 20 * len(tensors) + _TENSORS

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        asked = _asked(func, args)
        if asked is not None:
            self.numbers, self.tensors = self.numbers - asked, self.tensors - 1
            if self.numbers < 0 or self.tensors < 0:
                fix = "Weights and description are not of one model: take both from one place."
                expected = f"a network for the {self.held:,} numbers that its weights hold"
                raise FileError(self.source, found="a description of a far larger network", expected=expected, fix=fix)
        return func(*args, **(kwargs or {}))


def _asked(func: Any, args: Any) -> int | None:
    """How many numbers an operation makes out of nothing, or by spreading small tensors over each other."""
    name = func._schema.name.removeprefix("aten::")
    if name.removeprefix("new_").removesuffix("_strided").removesuffix("_permuted") in _MAKERS:
        sizes = [one for one in args if isinstance(one, list | tuple | torch.Size)]
        if sizes:
            return prod(int(one) for one in sizes[0])
        counts = [int(abs(one)) for one in args if isinstance(one, int | float) and abs(one) < 2**62]
        return max(counts, default=1)
    shapes = [one.shape for one in args if isinstance(one, Tensor)]
    if len(shapes) < 2 or shapes[0] == shapes[1] or name.endswith("_"):
        return None
    try:
        spread = prod(torch.broadcast_shapes(*shapes))
    except RuntimeError:
        return None
    return spread if spread > 4 * max(prod(shape) for shape in shapes) else None


@contextmanager
def within(tensors: Mapping[str, Tensor], source: str, expected: str) -> Iterator[None]:
    """Build what a file describes, for these tensors: neither a larger thing nor an error of another kind comes of it.

    Raises
    ------
    FileError
        It is far larger than the tensors, or can't be built.
    """
    try:
        with _Budget(tensors, source):
            yield
    except HistoscribeError:
        raise
    except Exception as error:
        fix = "Its description is broken or of other versions: take weights and description from one place."
        found = f"{type(error).__name__}: {error}".split("\n")[0][:300]
        raise FileError(source, found=found, expected=expected, fix=fix) from error
