"""Genes a second of each size of the gene encoder."""

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from _gene_encoder_runs import GROUP, LENGTH, at, interleaved, model, of_blocks, of_heads, precisions, spots, spread

# Dense bf16 peak of a card in TFLOP a second, by a part of its name.
PEAKS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0, "RTX 4090": 165.0}


def sizes() -> pd.DataFrame:
    """Genes a second of each size at each precision, on the CPU and on a CUDA device where there is one."""
    import torch

    import histoscribe as hs

    made = {"tiny": hs.nn.GeneEncoder.tiny(), "small": hs.nn.GeneEncoder.small(), "default": hs.nn.GeneEncoder()}
    rows = []
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        n = GROUP * (1 if device == "cpu" else 32)
        for name, config in made.items():
            one, tokens = model(config), spots(n)
            for precision in precisions(device):
                ways = _work(one, tokens, precision, device)
                for what, seconds in interleaved(ways, clock=device != "cpu").items():
                    genes, lengths = np.count_nonzero(tokens), np.count_nonzero(tokens, axis=1)
                    share = _share(config, lengths, what, statistics.median(seconds), device)
                    speed = f"{genes / statistics.median(seconds):,.0f}"
                    rows.append((device, name, what, precision, *spread(seconds), speed, share))
    columns = ["device", "size", "what", "precision", "s (median)", "(range)", "genes/s", "share of the bf16 peak"]
    table = pd.DataFrame(rows, columns=columns)
    return table if (table["device"] == "cuda").any() else table.drop(columns="share of the bf16 peak")


def _work(one: Any, tokens: np.ndarray, precision: str, device: str) -> dict[str, Callable[[], Any]]:
    import torch

    from histoscribe.tl._encode_tokens import encode

    def step() -> None:
        module = one.module.to(device).train()
        module.context_waits = False
        batch = {
            "tokens": torch.from_numpy(tokens.astype(np.int64)).view(-1, GROUP, LENGTH).to(device),
            "spot": torch.arange(len(tokens), device=device).view(-1, GROUP),
            "seed": torch.tensor([0, 0]),
        }
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = module.loss(batch)["loss"]
        loss.backward()
        module.zero_grad()
        module.eval()
        if device == "cuda":
            torch.cuda.synchronize()

    def encoded() -> None:
        at(precision, lambda: encode(tokens, one.module.to(device), torch.device(device)))

    return {"encoding": encoded, "training step": step}


def _share(config: Any, lengths: np.ndarray, what: str, seconds: float, device: str) -> str:
    """Share of the peak of the card that products of matrices reach, those of attention included, those of padding not."""
    import torch

    peak = next((p for name, p in PEAKS.items() if device == "cuda" and name in torch.cuda.get_device_name()), None)
    if peak is None:
        return ""
    forward = of_blocks(config, lengths)
    head = of_heads(config.dim, config.mask_fraction * lengths.sum() + lengths[::GROUP].sum())
    done = forward if what == "encoding" else 3 * (forward + head)
    return f"{done / seconds / 1e12 / peak:.0%}"
