"""A small network that learns nothing but to predict what surrounds a spot."""

import numpy as np
import torch
from _representations import Encode, Fit, dense, once, rings, variable_genes
from anndata import AnnData
from torch import nn

WIDTH, MOST_EPOCHS, BATCH, DROPOUT = 32, 20, 128, 0.5


def context_net(seed: int, *, by_scanpy: bool = False) -> Fit:
    """Two linear layers from a spot's section-centred genes to the mean of these over its first ring; the vector between.

    They train for as many epochs as were best for one of the training sections, when that was held out.
    """

    def fit(train: list[AnnData]) -> Encode:
        genes = variable_genes(train, by_scanpy=by_scanpy)
        inputs = [_tensor(dense(one, genes, centred=True)) for one in train]
        targets = [_tensor(rings(one, x.numpy())[0]) for one, x in zip(train, inputs, strict=True)]
        out = seed % len(train)
        inside = [k for k in range(len(train)) if k != out]
        losses = _train(
            _network(len(genes), seed),
            torch.cat([inputs[k] for k in inside]),
            torch.cat([targets[k] for k in inside]),
            MOST_EPOCHS,
            held=(inputs[out], targets[out]),
        )
        network = _network(len(genes), seed)
        _train(network, torch.cat(inputs), torch.cat(targets), int(np.argmin(losses)) + 1)
        encoder = network[:-1].eval()

        @torch.no_grad()
        def encode(adata: AnnData) -> np.ndarray:
            return encoder(_tensor(dense(adata, genes, centred=True))).numpy().astype(np.float64)

        return encode

    return once(fit)


def _tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x.astype(np.float32))


def _network(n_genes: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(n_genes, WIDTH), nn.Linear(WIDTH, n_genes))


def _train(
    network: nn.Sequential,
    x: torch.Tensor,
    y: torch.Tensor,
    epochs: int,
    held: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> list[float]:
    """Train, and return the loss on what was held out after each epoch."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.1)
    losses = []
    for _ in range(epochs):
        network.train()
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.mse_loss(network(x[rows]), y[rows]).backward()
            optimizer.step()
        if held is not None:
            network.eval()
            with torch.no_grad():
                losses.append(float(nn.functional.mse_loss(network(held[0]), held[1])))
    return losses
