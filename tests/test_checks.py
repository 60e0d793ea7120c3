"""Numbers of numpy and devices of torch are taken where Python's numbers and names of devices are."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import histoscribe as hs
from histoscribe._checks import is_count, is_flag, is_number
from histoscribe._errors import OptionError

# Type checkers know that these are no Python numbers and no names.
numpy: Any = np
torch_device: Any = torch.device


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (hs.nn.Contrastive(dim=numpy.int64(64), dropout=numpy.float32(0.5)), hs.nn.Contrastive(dim=64, dropout=0.5)),
        (hs.nn.TrainConfig(lr=numpy.float32(0.25), epochs=numpy.int8(3)), hs.nn.TrainConfig(lr=0.25, epochs=3)),
        (hs.nn.GeneEncoder(dim=numpy.int32(64), heads=numpy.uint8(8)), hs.nn.GeneEncoder(dim=64, heads=8)),
        (hs.nn.PCA(n_comps=numpy.int64(5), centre=numpy.bool_(False)), hs.nn.PCA(n_comps=5, centre=False)),
        (
            hs.datasets.Plant(n_domains=numpy.int64(3), signal=numpy.float64(0.5)),
            hs.datasets.Plant(n_domains=3, signal=0.5),
        ),
    ],
)
def test_options_given_as_numpy_scalars_are_pythons(given: Any, plain: Any) -> None:
    assert given == plain
    assert json.dumps(asdict(given)) == json.dumps(asdict(plain))


def test_what_is_no_number_stays_none() -> None:
    assert not is_count(numpy.int64(0))
    assert not is_count(numpy.bool_(True))
    assert not is_count(numpy.float64(3))
    assert not is_number(numpy.float32("nan"), 0)
    assert not is_number(np.array([1.0]), 0)
    assert is_flag(numpy.bool_(False))
    assert not is_flag(numpy.int64(1))


def test_functions_take_numpy_scalars_and_devices_of_torch(tmp_path: Path) -> None:
    adata = hs.datasets.toy(n_spots=numpy.int64(40), n_genes=numpy.int64(200))
    hs.pp.tile(adata, size_um=numpy.float32(112))
    hs.tl.encode_image(adata, "mean_rgb", batch_size=numpy.int64(8), cache=numpy.bool_(False))
    hs.pp.tokenize_genes(adata, hs.pp.fit_vocabulary(adata), n_tokens=numpy.int64(20))
    hs.tl.encode_genes(adata, hs.tl.fit_pca(adata, n_comps=numpy.int64(5)))
    train = hs.nn.TrainConfig(epochs=numpy.int64(1), val_fraction=numpy.float64(0))
    model = hs.tl.fuse(adata, hs.nn.Contrastive(dim=numpy.int64(8)), train=train, device=torch_device("cpu"))
    hs.tl.embed(adata, model, device=torch_device("cpu"))
    hs.tl.domains_gmm(adata, numpy.int64(3), random_state=numpy.int64(0))
    hs.io.write(adata, tmp_path / "a.h5ad")
    model.save(tmp_path / "model")
    assert hs.nn.load(tmp_path / "model").sha256 == model.sha256
    with pytest.raises(OptionError, match="device"):
        hs.tl.embed(adata, model, device=numpy.dtype("f4"))
