"""Where a network lies: in the table, on the hub, in a folder, or in a user's hands."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ..._errors import FileError, OptionError
from ..._warn import warn
from . import _timm, _transformers
from ._hub import WEIGHTS, snapshot
from ._loaded import Loaded
from ._pickles import Trust
from ._table import NORMS, Row, rows

_HUB, _LOCAL, _TRANSFORMERS = "hf-hub:", "local-dir:", "transformers:"


def from_place(
    name: str | nn.Module, plain: str | None, options: dict[str, Any], folder: Path | None, trust: Trust
) -> Loaded:
    """Load what a user names, or take the network that they bring."""
    if isinstance(name, nn.Module):
        module = copy.deepcopy(name)  # the user's stays where and as it is, and may be trained on
        if hasattr(module, "config") and hasattr(module.config, "model_type"):
            return _transformers.from_module(module, None)
        return _timm.from_module(module, None)
    if plain is not None:
        return _from_row(rows()[plain], options, folder, trust)
    if name.startswith((_HUB, "hf_hub:")):
        return _from_hub(name[len(_HUB) :], options, trust)
    if name.startswith(_LOCAL):
        return _from_folder(Path(name[len(_LOCAL) :]), options, trust)
    if name.startswith(_TRANSFORMERS):
        place = name[len(_TRANSFORMERS) :]
        if Path(place).is_dir():
            return _transformers.from_folder(Path(place), options, trust)
        return _from_hub(place, options, trust, transformers=True)
    if Path(name).is_dir():
        expected = "a name, or a place with what it is"
        raise OptionError("encoder", found=f"the folder {name!r}", expected=expected, fix=f"Write 'local-dir:{name}'.")
    if "/" in name:
        fix = f"Write 'hf-hub:{name}' for a repository of Hugging Face, 'local-dir:{name}' for a folder."
        raise OptionError("encoder", found=repr(name), expected="a name, or a place with what it is", fix=fix)
    return _timm.from_name(name, options, trust)


def _from_folder(folder: Path, options: Mapping[str, Any], trust: Trust) -> Loaded:
    if not folder.is_dir():
        fix = "Check the path; it is relative to the working directory."
        raise FileError(f"{_LOCAL}{folder}", found="no such folder", expected="a model's folder", fix=fix)
    if "model_type" in _timm.read_config(folder):
        return _transformers.from_folder(folder, options, trust)
    return _timm.from_folder(folder, options, trust)


def _from_hub(
    place: str, options: Mapping[str, Any], trust: Trust, *, transformers: bool = False, row: Row | None = None
) -> Loaded:
    repo, _, revision = place.partition("@")
    revision = revision or (row.revision if row and row.pinned else "")
    wanted = (_transformers.PROCESSOR,) if transformers else ()
    kind = "transformers" if transformers else "local-dir"
    again = f"call hs.nn.load_encoder({row.name!r}, folder='FOLDER')" if row else f"load '{kind}:FOLDER'"
    needed = [("config.json",), WEIGHTS]
    folder = snapshot(repo, needed, trust, revision=revision or None, wanted=wanted, again=again)
    loaded = _of_row(row, folder, options, trust, transformers=transformers)
    loaded.name = repo
    loaded.origin = {"source": f"{_TRANSFORMERS if transformers else _HUB}{repo}", "revision": folder.name}
    return loaded


def _of_row(row: Row | None, folder: Path, options: Mapping[str, Any], trust: Trust, *, transformers: bool) -> Loaded:
    """Network of a folder, which must be that of a row where one is given."""
    if transformers:
        return _transformers.from_folder(folder, options, trust, sha256=row.sha256 if row else None)
    known_as = {"architecture": row.architecture, "sha256": row.sha256} if row else {}
    return _timm.from_folder(folder, options, trust, **known_as)


def _from_row(row: Row, options: Mapping[str, Any], folder: Path | None, trust: Trust) -> Loaded:
    if row.loadable == "no":
        expected = "an encoder that runs without its repository's code"
        raise OptionError(
            "encoder", found=f"{row.name!r}, which is only named here", expected=expected, fix=row.instead
        )
    if row.loadable == "convert":
        fix = (
            f"Download {row.source.removeprefix('file:')}, run hs.nn.convert_weights(path, 'folder', architecture="
            f"{row.name!r}, allow_pickle_weights=True) and load 'local-dir:folder'."
        )
        raise FileError(
            row.name, found="an encoder that is published as a pickle", expected="converted weights", fix=fix
        )
    if not row.pinned and folder is None:
        msg = f"{row.name} is unpinned: no revision of {row.source} is known to us, so what it means may change"
        warn(msg)
    kind, _, repo = row.source.partition(":")
    wished = {**row.options, **options}
    as_transformer = kind == "transformers"
    if folder is None:
        loaded = _from_hub(repo, wished, trust, transformers=as_transformer, row=row)
    else:
        loaded = _of_row(row, folder, wished, trust, transformers=as_transformer)
    return described(loaded, row)


def described(loaded: Loaded, row: Row) -> Loaded:
    """Let the table have the last word on what a source says of itself."""
    loaded.name, loaded.size, loaded.mpp, loaded.interpolation = row.name, row.size, row.mpp, row.interpolation
    loaded.pooling = row.poolings[0]
    if row.norm is not None:
        loaded.mean, loaded.std = NORMS[row.norm]
    loaded.origin |= {"licence": row.licence, "gated": row.gated, "pinned": row.pinned and "revision" in loaded.origin}
    return loaded
