"""Parsers of values: options, settings, variables of the environment, what is kept as JSON."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

import histoscribe as hs
from histoscribe._files import Remote, fetch
from histoscribe._settings import Settings
from histoscribe.nn import PCA, Contrastive, TrainConfig

from ..toys import cached_toy
from .files import put
from .mutate import ODD_TEXT, ODD_VALUES, json_texts, odd_values
from .tally import Parser


def _options(kind: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Some options of a configuration: near their defaults, or anything at all."""
    known = {one.name: one.default for one in fields(kind)}

    def values(name: str) -> st.SearchStrategy[Any]:
        default = known[name]
        near: st.SearchStrategy[Any] = st.none() | st.sampled_from(("auto", "cpu", "32", "bf16", "ddp"))
        if isinstance(default, (int, float)):
            near = st.floats(0, 1) if isinstance(default, float) else st.integers(0, 400)
        return st.one_of(st.just(default), near, near, odd_values(), st.sampled_from(ODD_VALUES))

    pairs = [st.tuples(st.just(name), values(name)) for name in sorted(known)]
    return st.lists(st.one_of(pairs), max_size=3).map(dict)


def _check_options(config: Any) -> None:
    numbers = [value for value in vars(config).values() if isinstance(value, (int, float))]
    assert all(abs(value) < float("inf") for value in numbers)
    assert hash(config) is not None
    json.dumps(
        {name: str(value) if isinstance(value, Path) else value for name, value in vars(config).items()},
        allow_nan=False,
    )


# Settings and variables

SETTINGS = ("device", "precision", "progress", "verbosity", "cache_dir", "colour")
ENVIRONMENT = ("HISTOSCRIBE_DATA", "HISTOSCRIBE_CACHE", "HISTOSCRIBE_OFFLINE", "XDG_CACHE_HOME")
GENES = Remote("set/genes.tsv", hashlib.sha256(b"genes").hexdigest(), "http://127.0.0.1:9/genes.tsv")


def _settings(drawn: tuple[str, Any]) -> Settings:
    held = Settings()
    level = hs.settings.verbosity
    try:
        setattr(held, *drawn)
    finally:
        hs.settings.verbosity = level  # the log is the package's
    return held


def _check_settings(held: Settings) -> None:
    assert isinstance(held.cache_dir, Path)
    assert held.precision in ("32", "bf16")
    assert held.verbosity in (0, 1, 2, 3)
    assert held.device is None or isinstance(held.device, str)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _variables(values: dict[str, str]) -> Path:
    home = put(b"genes", "home", "data", "set", "genes.tsv").parents[2]
    before = hs.settings.cache_dir
    with _environment({"HISTOSCRIBE_CACHE": str(home), **values}):
        try:
            hs.settings.cache_dir = Settings().cache_dir
            return fetch(GENES)
        finally:
            hs.settings.cache_dir = before


def _check_variables(path: Path) -> None:
    assert path.read_bytes() == b"genes"


_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_SHORT = [text for text in ODD_TEXT if "\0" not in text]
_TEXTS = _NAMES | st.sampled_from(
    [*_SHORT, "a" * 5000, "/dev/null", "/proc/self/mem", "~nobody_here/x", "0", "1", "no", "false"]
)


# What is kept as JSON


@cache
def _kept() -> tuple[dict[str, Any], dict[str, Any]]:
    adata = cached_toy(n_spots=12, n_genes=200, plant=hs.datasets.Plant(n_null=0, genes_per_pathway=4))
    sets = adata.uns["truth"]["gene_sets"]
    scale = hs.pp.fit_pathway_scale(adata, sets, min_genes=2)
    few = hs.pp.fit_vocabulary(adata[:, :6].copy())
    return json.loads(few.to_json()), json.loads(scale.to_json())


def _check_vocabulary(vocabulary: hs.pp.Vocabulary) -> None:
    assert len(set(vocabulary.genes)) == len(vocabulary)
    assert all(isinstance(gene, str) for gene in vocabulary.genes)
    assert np.isfinite(vocabulary.means).all()
    assert (vocabulary.means > 0).all()
    assert (vocabulary.n_nonzero >= 0).all()
    assert hs.pp.Vocabulary.from_json(vocabulary.to_json()).sha256 == vocabulary.sha256


def _check_scale(scale: hs.pp.PathwayScale) -> None:
    depth = np.array([1.0, 100.0, 1e6])
    scored = np.asarray(np.isfinite(scale.score_means).all(axis=0) & np.isfinite(scale.score_sds).all(axis=0))
    found = scale.standardize(np.zeros((3, int(scored.sum()))), depth, columns=scored)
    assert np.isfinite(found).all()
    assert hs.pp.PathwayScale.from_json(scale.to_json()).sha256 == scale.sha256


def _config(kind: Any) -> Parser:
    make: Callable[[dict[str, Any]], Any] = lambda values: kind(**values)  # noqa: E731
    return Parser(f"nn.{kind.__name__}", _options(kind), make, _check_options)


PARSERS = (
    _config(TrainConfig),
    _config(Contrastive),
    _config(PCA),
    Parser(
        "hs.settings",
        st.tuples(
            st.sampled_from(SETTINGS), st.sampled_from(["cpu", "32", True, 2, "cache", *ODD_VALUES]) | odd_values()
        ),
        _settings,
        _check_settings,
    ),
    Parser(
        "HISTOSCRIBE_* variables",
        st.dictionaries(st.sampled_from(ENVIRONMENT), _TEXTS, max_size=3),
        _variables,
        _check_variables,
    ),
    Parser(
        "Vocabulary.from_json",
        st.deferred(lambda: json_texts([_kept()[0]])),
        hs.pp.Vocabulary.from_json,
        _check_vocabulary,
    ),
    Parser(
        "PathwayScale.from_json",
        st.deferred(lambda: json_texts([_kept()[1]])),
        hs.pp.PathwayScale.from_json,
        _check_scale,
    ),
)
