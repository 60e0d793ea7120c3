"""Parsers of models: our folders, timm's, those of transformers, and the cache of image vectors."""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

import histoscribe as hs
from histoscribe.nn.image._hub import weights_in
from histoscribe.nn.image._pickles import Trust
from histoscribe.tl._feature_cache import FeatureCache

from ..nn._networks import TINY, network, saved
from ..toys import cached_toy
from .files import place, put
from .mutate import json_texts, packed
from .tally import Parser

# Ours


@cache
def _model() -> tuple[Path, dict[str, Any], str]:
    folder = place("model", "config.json").parent
    model = hs.tl.fit_pca(cached_toy(n_spots=20, n_genes=200), n_comps=3)
    model.save(folder.with_name("model_saved"))
    shutil.copytree(folder.with_name("model_saved"), folder, dirs_exist_ok=True)
    return folder, json.loads((folder / "config.json").read_text()), model.sha256


def _load(text: str) -> Any:
    put(text, "model", "config.json")
    return hs.nn.load(_model()[0])


@cache
def _tokens() -> tuple[Path, dict[str, Any], str]:
    folder = place("tokens", "config.json").parent
    config = hs.nn.GeneEncoder(dim=4, depth=1, heads=1, hidden=4, n_tokens=20)
    train = hs.nn.TrainConfig(epochs=1, val_fraction=0, accelerator="cpu")
    model = hs.tl.pretrain_genes(cached_toy(n_spots=20, n_genes=200), config, train=train)
    model.save(folder.with_name("tokens_saved"))
    shutil.copytree(folder.with_name("tokens_saved"), folder, dirs_exist_ok=True)
    return folder, json.loads((folder / "config.json").read_text()), model.sha256


def _load_tokens(text: str) -> Any:
    put(text, "tokens", "config.json")
    return hs.nn.load(_tokens()[0])


def _check_model(model: Any) -> None:
    assert model.sha256 in (_model()[2], _tokens()[2])
    assert all(torch.isfinite(value).all() for value in model.module.state_dict().values())


# Encoders


@cache
def _timm() -> tuple[Path, dict[str, Any]]:
    folder = saved(place("timm", "x").parent, network(**TINY), **TINY)
    return folder, json.loads((folder / "config.json").read_text())


@cache
def _transformers() -> tuple[Path, dict[str, Any], dict[str, Any]]:
    import transformers

    options: dict[str, Any] = {
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    folder = place("transformers", "x").parent
    config = transformers.ViTConfig(image_size=32, patch_size=16, **options)
    transformers.ViTModel(config).save_pretrained(folder)
    stated = {"do_normalize": True, "image_mean": [0.7, 0.5, 0.7], "image_std": [0.2, 0.3, 0.2], "resample": 3}
    stated |= {"do_center_crop": True, "crop_size": {"height": 32, "width": 32}, "size": {"shortest_edge": 36}}
    return folder, json.loads((folder / "config.json").read_text()), stated


def _encoder_of_timm(text: str) -> Any:
    folder, _ = _timm()
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    return hs.nn.load_encoder(f"local-dir:{folder}", device="cpu")


def _encoder_of_transformers(pair: tuple[str | None, str | None]) -> Any:
    folder, config, stated = _transformers()
    for name, text, usual in zip(("config.json", "preprocessor_config.json"), pair, (config, stated), strict=True):
        (folder / name).write_bytes((text or json.dumps(usual)).encode("utf-8", "surrogatepass"))
    return hs.nn.load_encoder(f"transformers:{folder}", device="cpu")


def _check_encoder(encoder: Any) -> None:
    assert encoder.size > 0
    assert 0.01 <= encoder.mpp <= 100
    setup = encoder.setup if hasattr(encoder, "setup") else encoder
    for name in ("mean", "std"):
        values = getattr(setup, name, None)
        if values is not None:
            values = np.asarray(values, dtype=float).ravel()
            assert len(values) == 3
            assert np.isfinite(values).all()
            assert name == "mean" or (values > 0).all()


INDEX: tuple[dict[str, Any], ...] = (
    {"metadata": {"total_size": 9}, "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}},
)


def _shards(text: str) -> tuple[Path, list[Path]]:
    folder = put(text, "shards", "model.safetensors.index.json").parent
    for k in (1, 2):
        put(b"x", "shards", f"model-{k}.safetensors")
    return folder, weights_in(folder, Trust(pickles=False, call="load_encoder"))


def _check_shards(found: tuple[Path, list[Path]]) -> None:
    folder, parts = found
    assert parts
    assert all(part.resolve().parent == folder.resolve() and part.is_file() for part in parts)


# The cache of image vectors

ROWS = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


@cache
def _store() -> tuple[Any, dict[str, bytes]]:
    cache = FeatureCache()
    cache.folder = place("features", "x").parent
    store = cache.store(len(ROWS), {"encoder": "x"})
    store.write(0, ROWS)
    return cache, {str(path.relative_to(cache.folder)): path.read_bytes() for path in _files(cache.folder)}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _cached(drawn: tuple[int, Any]) -> Any:
    cache, held = _store()
    shutil.rmtree(cache.folder)
    names = sorted(held)
    for name, content in held.items():
        put(content, "features", *Path(name).parts)
    which, change = drawn
    name = names[which % len(names)]
    if change is None:
        (cache.folder / name).unlink()
    else:
        put(change(held[name]) if callable(change) else change, "features", *Path(name).parts)
    store = cache.store(len(ROWS), {"encoder": "x"})
    before = store.read(0)
    store.write(0, ROWS)  # a broken store is made anew
    after = cache.store(len(ROWS), {"encoder": "x"}).read(0)
    assert cache.failed or (after is not None and np.array_equal(after[0], ROWS))
    return before


def _check_cached(found: Any) -> None:
    rows, there = found
    assert there.all()
    assert np.array_equal(rows, ROWS)


@cache
def _metadata() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(raw) for name, raw in _store()[1].items() if name.endswith(".json"))


PARSERS = (
    Parser("config.json of our models", st.deferred(lambda: json_texts([_model()[1]])), _load, _check_model),
    Parser("config.json of gene encoders", st.deferred(lambda: json_texts([_tokens()[1]])), _load_tokens, _check_model),
    Parser("config.json of timm", st.deferred(lambda: json_texts([_timm()[1]])), _encoder_of_timm, _check_encoder),
    Parser(
        "config.json of transformers",
        st.tuples(st.deferred(lambda: json_texts([_transformers()[1]])), st.none()),
        _encoder_of_transformers,
        _check_encoder,
    ),
    Parser(
        "preprocessor_config.json",
        st.tuples(st.none(), st.deferred(lambda: json_texts([_transformers()[2]]))),
        _encoder_of_transformers,
        _check_encoder,
    ),
    Parser("model.safetensors.index.json", json_texts(INDEX), _shards, _check_shards),
    Parser(
        "store of image vectors",
        st.tuples(
            st.integers(0, 100),
            st.none()
            | st.binary(max_size=200)
            | st.deferred(lambda: json_texts(_metadata()).map(lambda text: text.encode("utf-8", "surrogatepass")))
            | st.deferred(lambda: packed(st.sampled_from(sorted(_store()[1].values())))),
        ),
        _cached,
        _check_cached,
    ),
)
