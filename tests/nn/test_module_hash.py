"""A user's own network has another hash wherever it computes something else with the same weights."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import histoscribe as hs

from ._networks import network, tiles_of


def sha256(module: nn.Module) -> str:
    return hs.nn.load_encoder(module, size=32).sha256


def layers(last: nn.Module | None = None, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, **options), last or nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def written(body: str, *, more: str = "") -> nn.Module:
    """Module whose class has this forward, as a user has it before and after editing a file."""
    lines = ["class Own(nn.Module):", more, "    def forward(self, x):", f"        {body}"]
    names: dict[str, Any] = {"nn": nn, "torch": torch, "__name__": "own"}
    exec(compile("\n".join(lines), "own.py", "exec"), names)
    module: nn.Module = names["Own"]()
    return module


class Scaled(nn.Module):
    shift: Tensor

    def __init__(self, scale: Any = 1.0, act: Callable[[Tensor], Tensor] = torch.relu) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.scale, self.act = nn.Conv2d(3, 4, 3), scale, act
        self.register_buffer("shift", torch.zeros(1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        found: Tensor = (self.act(self.conv(pixels)) * self.scale + self.shift).mean(dim=(2, 3))
        return found


def test_swapped_activations_change_it_and_the_vectors() -> None:
    relu, sigmoid = (hs.nn.load_encoder(layers(last), size=32) for last in (nn.ReLU(), nn.Sigmoid()))
    assert not np.allclose(relu(tiles_of(1, 32)), sigmoid(tiles_of(1, 32)))
    assert relu.record["weights_sha256"] == sigmoid.record["weights_sha256"]
    assert relu.sha256 != sigmoid.sha256


@pytest.mark.parametrize("other", [layers(nn.LeakyReLU(0.3)), layers(stride=2), layers(padding=1), Scaled()])
def test_options_of_layers_change_it(other: nn.Module) -> None:
    assert sha256(other) not in {sha256(layers()), sha256(layers(nn.LeakyReLU(0.2)))}


BODIES = (
    "return x.mean((2, 3))",
    "return x.amax((2, 3))",
    "return x.mean((3, 2)) * 2",
    "return x.mean((2, 3)) * 2",
    "return torch.stack([(lambda y: y + 1)(one.mean((1, 2))) for one in x])",
    "return torch.stack([(lambda y: y + 2)(one.mean((1, 2))) for one in x])",
)


def test_an_edited_forward_changes_it_and_the_same_does_not() -> None:
    hashes = [sha256(written(body)) for body in BODIES]
    assert len(set(hashes)) == len(BODIES)
    assert hashes == [sha256(written(body)) for body in BODIES]


def test_other_methods_and_constants_of_the_class_count() -> None:
    body = "return self._pool(x) * self.scale"
    pools = [f"    scale = {k}\n    def _pool(self, x): return x.{f}((2, 3))" for k in (1, 2) for f in ("mean", "amax")]
    assert len({sha256(written(body, more=more)) for more in pools}) == 4


def test_decorated_forward_is_seen_through() -> None:
    more = "    @staticmethod\n    @torch.no_grad()\n    def pool(x): return x.{}((2, 3))"
    one, other = (written("return self.pool(x)", more=more.format(name)) for name in ("mean", "amax"))
    assert sha256(one) != sha256(other)


@pytest.mark.parametrize("changed", [2.0, 1, True, None, "1.0", (1.0, 2), [1.0, [2]]])
def test_a_plain_attribute_changes_it(changed: Any) -> None:
    module = Scaled()
    before = sha256(module)
    module.scale = changed
    assert sha256(module) != before
    module.scale = 1.0
    assert sha256(module) == before


def test_functions_and_unsaved_buffers_change_it() -> None:
    shifted = Scaled()
    shifted.shift += 1
    own = [Scaled(act=lambda y: y * 2), Scaled(act=lambda y: y * 3)]
    assert len({sha256(one) for one in (Scaled(), Scaled(act=torch.sigmoid), shifted, *own)}) == 5


@pytest.mark.parametrize("make", [layers, Scaled, lambda: network("resnet18")])
def test_the_same_module_keeps_it(make: Callable[[], nn.Module]) -> None:
    module = make()
    before = sha256(module)
    again = make()
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.add_(1.0)
    assert sha256(again) != before
    again.load_state_dict(module.state_dict())
    assert [sha256(one) for one in (module, copy.deepcopy(module), again)] == [before] * 3
    hs.nn.load_encoder(module, size=32)(tiles_of(1, 32))
    assert sha256(module.train()) == before
    assert sha256(module.eval()) == before
