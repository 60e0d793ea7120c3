"""Where the time of an alignment from pixels goes.

her2st C6 (178 spots, JPEG of 9,270 x 9,910 pixels): reading it once, tiles and surroundings, before training; then, for a batch of
32 spots and one thread, serving patches and regions (cut, turned, stacked) and one step of training (both passes, four losses, backward).
Milliseconds a spot; *share*: serving of serving and step. An epoch reads no file.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from _alignment import TINY, components, her2st

import histoscribe as hs
from histoscribe.nn.fusion._pixel_rows import PixelRows
from histoscribe.nn.image._blueprint import blueprint, load_network
from histoscribe.tl._pixels import pixels_of

BATCH = 32
ENCODERS: dict[str, dict[str, Any]] = {
    "3 blocks of width 96, 64 px": TINY,
    "ViT-Ti/16, 224 px": {},
}


def _ms(call: Callable[[], object], times: int) -> float:
    """Median time of a call, ms a spot, after one that warms up."""
    call()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return 1000 * float(np.median(taken)) / BATCH


def _line(name: str, options: dict[str, Any], adata: Any) -> tuple[str, ...]:
    config = hs.nn.Contrastive(
        mode="pixels", encoder="vit_tiny_patch16_224", pretrained=False, encoder_options=options, trunk="full"
    )
    encoder = load_network(config.encoder, pretrained=False, options=options, random_state=0)
    start = time.perf_counter()
    with pixels_of([adata], encoder, tiles_key="tiles", library_key="library_id") as (pixels, _):
        read = time.perf_counter() - start
        genes = torch.from_numpy(adata.obsm["X_genes"])
        n, boxes = len(genes), torch.from_numpy(adata.obsm["tiles"]).float()
        held = {"row": torch.arange(n), "boxes": boxes, "section": torch.zeros(n, dtype=torch.int64), "genes": genes}
        served = PixelRows(pixels, held, augment=True)
        asked = next(iter(served.batches(BATCH, 0, lambda: 0)))
        asked = asked[0][:BATCH], asked[1][:BATCH], asked[2][:BATCH]
        module = config.build({"genes": genes.shape[1]}, trunk={**blueprint(encoder), "network": encoder.module})
        batch = served[asked]
        serving = _ms(lambda: served[asked], 20)
        step = _ms(lambda: module.train().loss(batch)["loss"].backward(), 3)
    share = serving / (serving + step)
    return name, f"{read:.1f} s", f"{serving:.2f}", f"{step:.1f}", f"{share:.1%}"


def measure() -> pd.DataFrame | None:
    """Return a row for each size of the transformer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adatas = her2st(("C6",))
        if adatas is None:
            return None
        components(adatas, [])
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            rows = [_line(name, options, adatas[0]) for name, options in ENCODERS.items()]
        finally:
            torch.set_num_threads(threads)
    return pd.DataFrame(rows, columns=["transformer", "reading, once", "serving, ms", "step, ms", "share"])
