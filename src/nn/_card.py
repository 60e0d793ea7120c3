"""The card of a model that is published: what it is, what it was fitted on, and how to load it."""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from .fusion import FUSIONS

CARD = "README.md"
_LONGEST = 80  # letters of a value that is shown


def card(model: Any, repo: str, licence: str | None) -> str:
    """Write the card, headed by what the hub reads of it."""
    from huggingface_hub import ModelCardData

    tags = ["spatial-transcriptomics", "histology", model.name]
    head = ModelCardData(library_name="histoscribe", license=licence, tags=tags).to_yaml()
    verb = "embed" if model.name in FUSIONS else "encode_genes"
    parts = [
        f"---\n{head}\n---",
        f"# {repo.partition('/')[2]}",
        f"A `{model.name}` of histoscribe {version('histoscribe')}, for sections with H&E images and spatial transcriptomics.",
        f'```python\nimport histoscribe as hs\n\nmodel = hs.nn.Model.from_pretrained("{repo}")\nhs.tl.{verb}(adata, model)\n```',
        _table("Options", vars(model.config)),
        _table("Fitted on", _fitted(model)),
        f"Licence: {licence or 'not stated'}. SHA-256 of weights, options and what it was fitted on: `{model.sha256}`; it is "
        "checked whenever the model is loaded.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _fitted(model: Any) -> dict[str, Any]:
    """Say what a reader wants to know of the data and of training, in a line each."""
    shown = dict(_flat(model.meta))
    genes = _genes(model.meta.get("vocabulary"))
    if genes is not None:
        shown["genes of the vocabulary"] = genes
    shown["parameters"] = sum(p.numel() for p in model.module.parameters())
    if model.history:
        shown["epochs"] = len(model.history)
        for name in ("train_loss", "val_loss"):
            values = [row[name] for row in model.history if name in row]
            if values:
                shown[f"lowest {name}"] = f"{min(values):.4g}"
    return shown


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}", f"{len(value):,} values"
        elif not isinstance(value, str) or len(value) <= _LONGEST:
            yield f"{prefix}{name}", value


def _genes(vocabulary: Any) -> int | None:
    try:
        return len(json.loads(vocabulary)["genes"])
    except (TypeError, ValueError, KeyError):
        return None


def _table(title: str, values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    rows = [f"| {name} | {_said(value)} |" for name, value in values.items()]
    return "\n".join([f"## {title}", "", "| | |", "|---|---|", *rows])


def _said(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value).replace("|", r"\|")
