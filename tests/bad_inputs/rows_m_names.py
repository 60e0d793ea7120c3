"""Rows of the catalogue: names of encoders, the hub, and machines without a network."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from anndata import AnnData
from huggingface_hub import errors

import histoscribe as hs
from histoscribe._errors import FileError, MissingError, OfflineError, OptionError
from histoscribe.nn.image import _table

from . import networks as n
from .row import Defined, Elsewhere, Raises, Row, Try

_NAME = "1aurent/vit_small_patch16_224.lunit_dino"


def _loaders(name: str) -> dict[str, Try]:
    """Call whatever takes an encoder's name."""
    tries: dict[str, Try] = {
        "nn.load_encoder": lambda _: hs.nn.load_encoder(name),
        "tl.encode_image": lambda given: n.encoded(given, name),
    }
    return tries if ":" in name else {**tries, "nn.ENCODERS": lambda _: hs.nn.ENCODERS[name]()}


def _on(cached: Path, tries: Mapping[str, Try], **state: Any) -> dict[str, Try]:
    """Make the same calls with a hub in a state."""

    def at(call: Try) -> Try:
        def tried(given: Any) -> Any:
            with n.hub(cached, **state):
                return call(given)

        return tried

    return {name: at(call) for name, call in tries.items()}


def _response(status: int) -> Any:
    module = __import__(errors.HfHubHTTPError.__init__.__annotations__["response"].__module__.split(".")[0])
    return module.Response(status, request=module.Request("GET", "https://huggingface.co/o/n"))


def _gated() -> Exception:
    return errors.GatedRepoError("no", response=_response(401))


def _cached_and_clean() -> tuple[Path, Path]:
    folder = n.tiny()
    return n.in_hub(folder, "owner/name"), folder


def _ordered_offline(given: tuple[Path, Path]) -> Any:
    with (
        n.hub(given[0]),
        patch.dict(os.environ, {"HF_HUB_OFFLINE": "1"}),
        patch("histoscribe.nn._hub.online", n._never),
    ):
        return n.vectors(hs.nn.load_encoder("hf-hub:owner/name"))


def _encoded_offline(given: tuple[Path, Path]) -> Any:
    adata = n.section()
    with n.hub(given[0]), patch.dict(os.environ, {"HF_HUB_OFFLINE": "1"}):
        n.encoded(adata, "hf-hub:owner/name")
    return adata.obsm["X_image"]


def _as_local(given: tuple[Path, Path], returned: Any) -> None:
    place = f"local-dir:{given[1]}"
    few = len(returned) == 2
    expected = n.vectors(hs.nn.load_encoder(place)) if few else n.encoded(n.section(), place).obsm["X_image"]
    np.testing.assert_array_equal(returned, expected)


def _recorded(given: tuple[Path, Path]) -> AnnData:
    adata = n.section()
    row = _table.Row(name="lunit_s16", source="hf-hub:owner/name", revision=n.COMMIT)
    with n.hub(given[0]), patch.dict(_table.rows(), {"lunit_s16": row}):
        return n.encoded(adata, "lunit_s16")


def _says_where_from(given: tuple[Path, Path], adata: AnnData) -> None:
    held = str(dict(adata.uns))
    assert n.COMMIT in held
    assert hs.nn.load_encoder(f"local-dir:{given[1]}").record["weights_sha256"] in held


def _code_of_its_own() -> Path:
    auto_map = {"AutoModel": "modeling_hibou.HibouModel"}
    return n.described(n.tiny(), lambda config: config.update(auto_map=auto_map, model_type="dinov2"))


ROWS: list[Row | Elsewhere] = [
    Row(
        "M1",
        "a name of an encoder that nobody knows",
        n.section,
        {
            "nn.load_encoder": lambda _: hs.nn.load_encoder("kaiko_s17"),
            "tl.encode_image": lambda given: n.encoded(given, "kaiko_s17"),
            "nn.ENCODERS": lambda _: hs.nn.ENCODERS["kaiko_s17"],
            "nn.convert_weights": lambda _: hs.nn.convert_weights("w.safetensors", "out", architecture="kaiko_s17"),
        },
        Raises(
            MissingError, "encoder", r"Did you mean \w+, \w+, \w+\? See hs\.nn\.encoders\(\) for all names", "kaiko_s17"
        ),
    ),
    Row(
        "M2",
        "weights behind a gate, and no login",
        n.section,
        _on(n.empty(), _loaders("hf-hub:paige-ai/Virchow2"), error=_gated()),
        Raises(
            FileError,
            "hf-hub:paige-ai/Virchow2",
            r"Ask for access at https://\S+/paige-ai/Virchow2, then run: hf auth login \(or set HF_TOKEN\).*'kaiko_s16'",
            "not logged in",
        ),
    ),
    Row(
        "M3",
        "weights behind a gate that is closed to this account",
        n.section,
        _on(n.empty(), _loaders("hf-hub:paige-ai/Virchow2"), error=_gated(), token="hf_x"),
        Raises(FileError, "hf-hub:paige-ai/Virchow2", "wait until it is granted", "your account has no access"),
    ),
    Row(
        "M4",
        "no network, and weights that are not on disk",
        n.section,
        _on(n.empty(), _loaders("kaiko_s16")),
        Raises(
            OfflineError,
            "hf-hub:1aurent/",
            r"hf download \S+ --local-dir FOLDER.*folder='FOLDER'",
            "no network; not in /",
        ),
    ),
    Row(
        "M5",
        "HF_HUB_OFFLINE, and weights that are on disk",
        _cached_and_clean,
        {"nn.load_encoder": _ordered_offline, "tl.encode_image": _encoded_offline},
        Defined("works, and asks no network", _as_local),
    ),
    Row(
        "M9",
        "an encoder that needs its repository's code",
        n.section,
        _loaders("hibou_b"),
        Raises(OptionError, "encoder", "trust_remote_code|pass|object|code", "only named here"),
    ),
    Row(
        "M9",
        "a folder that brings code of its own",
        _code_of_its_own,
        {
            "nn.load_encoder": lambda folder: hs.nn.load_encoder(f"local-dir:{folder}"),
            "nn.load_encoder (transformers)": lambda folder: hs.nn.load_encoder(f"transformers:{folder}"),
            "nn.load_encoder (folder)": lambda folder: hs.nn.load_encoder("kaiko_s16", folder=folder),
            "tl.encode_image": lambda folder: n.encoded(n.section(), f"local-dir:{folder}"),
        },
        Raises(FileError, "config.json", "never run here.*encoder object of your own", "code of its own .auto_map"),
    ),
    Row(
        "M10",
        "a repository that may change",
        _cached_and_clean,
        {"tl.encode_image": _recorded},
        Defined("its commit and the hash of its weights stand beside the vectors", _says_where_from),
    ),
    Elsewhere(
        "M10",
        "a repository whose main branch is no longer the commit of the table",
        "not taken: only that commit is",
        ("tests/nn/test_encoder_hub.py::test_another_commit_than_the_pinned_one_is_not_taken",),
        raised=True,
    ),
]
