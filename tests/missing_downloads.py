"""What must be downloaded and can't be: how soon each says so, and what. Run as ``python -m tests.missing_downloads``."""

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import histoscribe as hs
from histoscribe._errors import HistoscribeError


def calls() -> dict[str, Callable[[], Any]]:
    """Everything that a name alone makes us download."""
    table = hs.nn.encoders()
    named = table[table["weights"] & (table["loadable"] == "yes")]["name"]
    toy = hs.datasets.toy(n_spots=12, n_genes=200)
    data: dict[str, Callable[[], Any]] = {
        'datasets.her2st("C2")': lambda: hs.datasets.her2st("C2"),
        'datasets.her2st("A1")': lambda: hs.datasets.her2st("A1"),
        "datasets.mouse_olfactory_bulb(2)": lambda: hs.datasets.mouse_olfactory_bulb(2),
        "datasets.hallmark()": hs.datasets.hallmark,
        "pp.score_pathways(adata)": lambda: hs.pp.score_pathways(toy),
    }
    places = [*named, "vit_small_patch16_224", "hf-hub:owner/name@main", "transformers:owner/name"]
    return data | {f'load_encoder("{name}")': lambda name=name: hs.nn.load_encoder(name) for name in places}


def main(some: list[str]) -> None:
    """Print a line of JSON for each call, or for those whose name holds one of some words."""
    if not some:  # loading packages is not what is timed
        for package in ("huggingface_hub", "timm", "transformers", "histoscribe.pp"):
            importlib.import_module(package)
    for name, call in calls().items():
        if some and not any(word in name for word in some):
            continue
        start = time.perf_counter()
        try:
            call()
            kind, said = "nothing", "it was there"
        except HistoscribeError as error:
            kind, said = type(error).__name__, str(error)
        line = {"what": name, "error": kind, "said": said, "seconds": time.perf_counter() - start}
        print(json.dumps(line), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
