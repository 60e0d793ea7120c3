"""A fitted model: configuration, weights and what they were fitted on."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .._errors import FileError
from .._registry import Registry
from .._types import check_types
from ._budget import within
from ._config import default_of
from ._hub import named
from ._save import CONFIG, WEIGHTS, fingerprint, load_strict, read_folder, write_folder

MODELS = Registry(
    "model",
    __package__,
    {
        "Contrastive": ".fusion._contrastive:Contrastive",
        "GeneEncoder": ".genes._gene_encoder:GeneEncoder",
        "PCA": ".genes._pca:PCA",
    },
)

_HELD = {"class": str, "options": dict, "meta": dict, "history": list, "sha256": str}


@dataclass(eq=False)
class Model:
    """What functions that learn return, and what functions that apply it take.

    Parameters
    ----------
    config
        Options, an instance of one of the configurations of :mod:`histoscribe.nn`.
    module
        The torch module that ``config`` describes, in evaluation mode.
    meta
        What it was fitted on, in plain JSON values: widths of its inputs (``sizes``), slots, gene names, hashes.
    history
        A dict of numbers for each epoch.

    Examples
    --------
    >>> model = hs.tl.fit_pca(adata)
    >>> model.save("pca")
    >>> hs.nn.load("pca").sha256 == model.sha256
    True
    """

    config: Any
    module: Any = field(repr=False)
    meta: dict[str, Any] = field(default_factory=dict, repr=False)
    history: list[dict[str, float]] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        check_types(Model, vars(self))
        self.module.eval()

    @classmethod
    def new(cls, config: Any, meta: Mapping[str, Any]) -> "Model":
        """Make a model with fresh weights for inputs of the widths ``meta["sizes"]``."""
        parts = {name: meta[name] for name in ("trunk", "gene_encoder") if name in meta}
        return cls(config, config.build(meta["sizes"], **parts), dict(meta))

    @property
    def name(self) -> str:
        """Name of its class in the table of models."""
        return type(self.config).__name__

    @property
    def sha256(self) -> str:
        """Hash of weights, options and meta: what its results depend on."""
        return fingerprint(self.module.state_dict(), self._described())

    def save(self, path: str | Path) -> None:
        """Write the model to a folder, replacing the model there.

        Raises
        ------
        FileError
            The folder holds something that is no model.
        """
        held = {**self._described(), "sha256": self.sha256, "history": self.history}
        write_folder(path, self.module.state_dict(), held)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        revision: str | None = None,
        private: bool = True,
        token: str | None = None,
        licence: str | None = None,
        message: str = "Model of histoscribe",
    ) -> str:
        """Upload the model to a repository of Hugging Face, with a card that says what it is and how to load it.

        Parameters
        ----------
        repo_id
            ``"owner/name"``; made where there is none.
        revision
            Branch; made where there is none. None takes the main branch.
        private
            Whether a repository that is made is seen by its owner alone.
        token
            Of an account that may write there; None takes the one that is logged in (``hf auth login``).
        licence
            Under which the weights may be used, as the hub names it, such as ``"cc-by-4.0"``. Whether it may be given is
            a question of what the model was fitted on.
        message
            Title of the commit.

        Returns
        -------
        The commit: as ``revision=`` of :meth:`from_pretrained` it stands for just these weights.

        Raises
        ------
        OfflineError
            The hub can't be reached.
        FileError
            The account may not write there.
        OptionError
            ``repo_id`` is no name of a repository.

        Examples
        --------
        >>> commit = model.push_to_hub("owner/breast-genes", licence="cc-by-4.0")
        """
        check_types(Model.push_to_hub, {k: v for k, v in locals().items() if k != "self"})
        from ._publish import push

        return push(self, named(repo_id, revision, token), private=private, licence=licence, message=message)

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None, token: str | None = None) -> "Model":
        """Load a model from a repository of Hugging Face, or from a folder.

        What is in the hub's cache is downloaded again only where a branch has moved on; without a network the cache is
        taken as it is.

        Parameters
        ----------
        name
            ``"owner/name"``, or a folder that :meth:`save` wrote.
        revision
            Commit, branch or tag; None takes the main branch.
        token
            Of an account that may read it; None takes the one that is logged in.

        Raises
        ------
        OfflineError
            It is not in the cache, and there is no network.
        FileError
            There is no such repository or you may not read it, or it holds no whole model.

        Examples
        --------
        >>> model = hs.nn.Model.from_pretrained("owner/breast-genes")
        """
        check_types(Model.from_pretrained, locals())
        if isinstance(name, Path) or os.path.isdir(name):  # pathlib's own raises on names that are too long
            return load(name)
        from ._publish import pull

        return load(pull(named(str(name), revision, token)))

    def _described(self) -> dict[str, Any]:
        return {"class": self.name, "options": _options(self.config), "meta": self.meta}


def _options(config: Any) -> dict[str, Any]:
    """List options; those that came later are left out at their default, so that a model keeps the hash it had before."""
    held = asdict(config)
    return {f.name: held[f.name] for f in fields(config) if not _later(f) or held[f.name] != default_of(f)}


def _later(option: Any) -> bool:
    return bool(option.metadata.get("later"))


def load(path: str | Path) -> Model:
    """Read a model that :meth:`Model.save` wrote.

    Parameters
    ----------
    path
        Its folder.

    Raises
    ------
    FileError
        A file or tensor is missing, left over, misshaped or changed, or of a newer format.
    MissingError
        A class of model that this version does not know.
    OptionError
        An option in it that is not allowed.

    Examples
    --------
    >>> model = hs.nn.load("pca")
    """
    check_types(load, locals())
    tensors, held = read_folder(path)
    config = _config(Path(path) / CONFIG, held)
    with within(tensors, str(Path(path) / CONFIG), "a description of these weights"):
        model = Model.new(config, held["meta"])
    load_strict(model.module, tensors, str(Path(path) / WEIGHTS))
    model.history = held["history"]
    if model.sha256 != held["sha256"]:
        fix = "Weights or configuration were changed after saving, or are broken: copy or save them again."
        raise FileError(str(path), found=f"sha256 {model.sha256}", expected=str(held["sha256"]), fix=fix)
    return model


def _config(path: Path, held: Mapping[str, Any]) -> Any:
    off = [name for name, kind in _HELD.items() if not isinstance(held.get(name), kind)]
    if off:
        found = f"no {off}, or of another type"
        raise FileError(str(path), found=found, expected="what Model.save wrote", fix="Save it again.")
    kind, options = MODELS[held["class"]], held["options"]
    known, later = {f.name for f in fields(kind)}, {f.name for f in fields(kind) if _later(f)}
    if off := sorted((set(options) | later) ^ known):
        fix = f"It was written by histoscribe {held.get('version')}."
        raise FileError(str(path), found=f"options {off} that do not fit", expected=f"those of {kind}", fix=fix)
    return kind(**options)
