"""How encoders run: memory, switches of torch, refused input."""

import logging
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import histoscribe as hs
from histoscribe._errors import ImageError, OptionError
from histoscribe.nn.image._exact import arithmetic, full_float32

from ._networks import network, tiles_of


@pytest.fixture(scope="module")
def vit() -> nn.Module:
    """Return a small vision transformer with registers."""
    return network("vit_small_patch14_reg4_dinov2", img_size=112, depth=3, embed_dim=96, num_heads=3)


class _Small(nn.Module):
    """Mean colour; has room for a given number of images and no more."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.seen = room, []  # type: ignore[var-annotated]

    def forward(self, pixels: Tensor) -> Tensor:
        if len(pixels) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.seen.append(len(pixels))
        return pixels.mean(dim=(2, 3))


def test_out_of_memory_halves_the_batch_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    tiles = tiles_of(11, 32)
    expected = hs.nn.load_encoder(_Small(100), size=32)(tiles)
    encoder = hs.nn.load_encoder(_Small(3), size=32)
    with caplog.at_level(logging.WARNING, logger="histoscribe"):
        found = encoder(tiles)
    np.testing.assert_array_equal(found, expected)
    assert encoder.module.seen == [2, 2, 2, 2, 2, 1]
    assert "out of memory with 11 tiles, going on with 5" in caplog.text
    assert "out of memory with 5 tiles, going on with 2" in caplog.text
    encoder(tiles[:4])
    assert encoder.module.seen[-2:] == [2, 2]  # it has learned


def test_no_room_for_one_tile_is_an_error() -> None:
    with pytest.raises(OptionError, match=r"no memory for one tile of 32 px.*device='cpu' or precision='bf16'"):
        hs.nn.load_encoder(_Small(0), size=32)(tiles_of(2, 32))


def test_other_errors_of_a_network_are_not_taken_for_memory() -> None:
    class Broken(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        hs.nn.load_encoder(Broken(), size=32)(tiles_of(2, 32))


@pytest.mark.usefixtures("two_threads")
def test_global_switches_are_given_back(vit: nn.Module) -> None:
    def state() -> tuple[Any, ...]:
        switches = (torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision(), torch.is_grad_enabled())
        return (*switches, torch.get_default_dtype(), torch.get_num_threads(), torch.get_rng_state().tolist())

    previous = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        before = state()
        encoder = hs.nn.load_encoder(vit, precision="32")
        encoder(tiles_of(1, 112))
        assert state() == before
    finally:
        torch.set_float32_matmul_precision(previous)


def test_threads_share_the_switches() -> None:
    matmul: Any = torch.backends.cuda.matmul
    name = "fp32_precision" if hasattr(matmul, "fp32_precision") else "allow_tf32"
    before, inside = getattr(matmul, name), threading.Barrier(2)
    held: list[Any] = []

    def work() -> None:
        with full_float32():
            inside.wait()
            held.append(getattr(matmul, name))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held[0] == held[1] in ("ieee", False)
    assert getattr(matmul, name) == before


def test_an_outer_autocast_does_not_reach_in(vit: nn.Module) -> None:
    tiles = tiles_of(1, 112)
    encoder = hs.nn.load_encoder(vit, precision="32")
    expected = encoder(tiles)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(encoder(tiles), expected)
    with arithmetic("32", torch.device("cpu")):
        assert torch.is_inference_mode_enabled()


@pytest.mark.parametrize(
    ("tiles", "says"),
    [(np.zeros((2, 8, 8, 4), np.uint8), "8-bit RGB"), (np.zeros((2, 8, 8, 3), np.float32), "8-bit RGB")],
)
def test_anything_but_8_bit_rgb_is_refused(vit: nn.Module, tiles: Any, says: str) -> None:
    encoder = hs.nn.load_encoder(vit)
    for call in (encoder, encoder.dense):
        with pytest.raises(ImageError, match=says):
            call(tiles)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pooling": "max"}, r"pooling: found 'max'.*'cls'"),
        ({"pooling": "avg"}, r"pooling: found 'avg'.*one of \('cls', 'mean', 'cls\+mean'\)"),
        ({"precision": "16"}, "precision: found '16'"),
        ({"size": 0}, "size: found 0"),
        ({"size": 126}, r"size: found 126: the positions .* are for 112 px.*dynamic_img_size"),
        ({"mpp": -1}, "mpp: found -1"),
        ({"mean": (127, 127, 127)}, "mean: .*from 0 to 1"),
        ({"std": (0.2, 0.2)}, "std: .*three numbers"),
        ({"interpolation": "nearest"}, "interpolation: found 'nearest'"),
        ({"device": "tpu9"}, "device"),
    ],
)
def test_bad_options_are_refused(vit: nn.Module, options: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        hs.nn.load_encoder(vit, **options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="has no cuda device")
def test_cuda_equals_cpu(vit: nn.Module) -> None:
    tiles = tiles_of(3, 112)
    np.testing.assert_allclose(
        hs.nn.load_encoder(vit, device="cuda")(tiles), hs.nn.load_encoder(vit, device="cpu")(tiles), atol=1e-4
    )
