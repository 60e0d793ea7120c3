"""Learning rates of a network that was trained before: the lower a layer, the less it moves."""

from collections.abc import Callable, Iterable


def by_layer(
    names: Iterable[str], layer_of: Callable[[str], int], *, top: int, rate: float, decay: float
) -> dict[str, float]:
    """Rate of each parameter, by the layer it belongs to: the top one has ``rate``, each below ``decay`` of the one above."""
    return {name: rate * decay ** (top - layer_of(name)) for name in names}
