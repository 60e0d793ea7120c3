"""Encoding tiles with a vision transformer.

ViT-S/16 (22 million random weights, 224 px), 64 tiles in batches of 16, on 2 threads, best of three interleaved runs. The
baselines are what one writes by hand: timm's network on tensors that are ready, in float32 and under bfloat16 autocast.
`load_encoder` starts from 8-bit tiles, normalises them itself and hands out numpy; the last column compares its vectors with
those of float32 by hand (smallest cosine). OpenVINO is shown where it is installed.
"""

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

N, BATCH, REPEATS, THREADS = 64, 16, 3, 2
_COLUMNS = ["how", "seconds (best)", "(worst)", "images/s", "times torch float32", "cosine"]


def measure() -> pd.DataFrame:
    """Return images a second of each way."""
    import timm
    import torch

    import histoscribe as hs

    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    module = timm.create_model("vit_small_patch16_224", pretrained=False, num_classes=0).eval()
    tiles = np.random.default_rng(0).integers(0, 256, (N, 224, 224, 3), dtype=np.uint8)
    pixels = (torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255).sub_(0.5).div_(0.5).contiguous()
    ways: dict[str, Callable[[int], Any]] = {
        "torch, float32": lambda i: _by_hand(module, pixels[i : i + BATCH], half=False),
        "torch, bfloat16 autocast": lambda i: _by_hand(module, pixels[i : i + BATCH], half=True),
    }
    for precision, named in (("32", "float32"), ("bf16", "bfloat16")):
        encoder = hs.nn.load_encoder(module, precision=precision, device="cpu")
        ways[f"histoscribe, {named}"] = lambda i, encoder=encoder: encoder(tiles[i : i + BATCH])
    if find_spec("openvino"):
        ways |= _openvino(module, pixels)
    table = _table(ways)
    torch.set_num_threads(before)
    return table


def _by_hand(module: Any, pixels: Any, *, half: bool) -> Any:
    import torch

    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        return module(pixels).float().numpy()


def _openvino(module: Any, pixels: Any) -> dict[str, Callable[[int], Any]]:
    import openvino

    model = openvino.convert_model(module, example_input=pixels[:BATCH])
    ways: dict[str, Callable[[int], Any]] = {}
    for precision, named in (("f32", "float32"), ("bf16", "bfloat16")):
        options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": THREADS}
        compiled = openvino.compile_model(model, "CPU", options)
        ways[f"OpenVINO, {named}"] = lambda i, compiled=compiled: compiled(pixels[i : i + BATCH].numpy())[0]
    return ways


def _table(ways: dict[str, Callable[[int], Any]]) -> pd.DataFrame:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    vectors: dict[str, np.ndarray] = {}
    for name, way in ways.items():
        vectors[name] = np.concatenate([way(i) for i in range(0, N, BATCH)])  # warms up, and is compared
    for _ in range(REPEATS):
        for name, way in ways.items():
            start = time.perf_counter()
            for i in range(0, N, BATCH):
                way(i)
            seconds[name].append(time.perf_counter() - start)
    base, expected = min(seconds["torch, float32"]), vectors["torch, float32"]
    rows = [
        (
            name,
            f"{min(s):.2f}",
            f"{max(s):.2f}",
            f"{N / min(s):.1f}",
            f"{base / min(s):.2f}",
            _cosine(name, vectors, expected),
        )
        for name, s in seconds.items()
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _cosine(name: str, vectors: dict[str, np.ndarray], expected: np.ndarray) -> str:
    found = vectors[name]
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    return f"{cosine.min():.5f}"
