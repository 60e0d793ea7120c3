"""All attacks: what is made, and which loaders it is tried on."""

import gzip
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import histoscribe as hs

from ..nn._networks import TINY
from . import _folders as f
from ._pickles import PICKLES, npy
from ._safetensors import SAFETENSORS

Try = Callable[[], Any]


@dataclass(frozen=True)
class Attack:
    """Something made to harm.

    Parameters
    ----------
    name
        What it is.
    make
        Makes it in an empty folder, given the path of the canary; returns loader → call.
    """

    name: str
    make: Callable[[Path, Path], dict[str, Try]]


def _encoder(name: str, **options: Any) -> Try:
    return lambda: hs.nn.load_encoder(name, **options)


def _hub(folder: Path, layout: str = "hf-hub") -> str:
    """Place a folder in the hub's cache, links and all, and return its name."""
    from huggingface_hub import constants

    root, commit = Path(constants.HF_HUB_CACHE) / "models--owner--name", "c" * 40
    for sub in ("blobs", "refs", f"snapshots/{commit}"):
        (root / sub).mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    for k, path in enumerate(sorted(folder.iterdir())):
        (root / "blobs" / str(k)).write_bytes(path.read_bytes())
        (root / "snapshots" / commit / path.name).symlink_to(f"../../blobs/{k}")
    return f"{layout}:owner/name"


def _places(folder: Path, kind: str) -> dict[str, Try]:
    """Loaders of an encoder's folder, with and without permission to read pickles."""
    names = {kind: f"{kind}:{folder}", "hub": _hub(folder, "hf-hub" if kind == "local-dir" else "transformers")}
    found = {label: _encoder(name) for label, name in names.items()}
    return found | {f"{label} allowed": _encoder(name, allow_pickle_weights=True) for label, name in names.items()}


def _convert(path: Path, *, allow: bool) -> Try:
    options: dict[str, Any] = {"architecture": "vit_tiny_patch16_224", "options": TINY, "allow_pickle_weights": allow}
    return lambda: hs.nn.convert_weights(path, path.parent / "converted", **options)


def _pickle(content: Callable[[Path], bytes]) -> Callable[[Path, Path], dict[str, Try]]:
    def make(place: Path, canary: Path) -> dict[str, Try]:
        held, tries = content(canary), {}
        for kind, folder in (
            ("local-dir", f.copy_of("timm", place / "timm")),
            ("transformers", f.copy_of("transformers", place / "t")),
        ):
            (folder / f.WEIGHTS).unlink()
            (folder / "pytorch_model.bin").write_bytes(held)
            hub = "hf-hub" if kind == "local-dir" else "transformers"
            tries[kind] = _encoder(f"{kind}:{folder}")
            tries[f"{kind} allowed"] = _encoder(f"{kind}:{folder}", allow_pickle_weights=True)
            if kind == "local-dir":
                tries["hub"] = _encoder(_hub(folder, hub))
                tries["hub allowed"] = _encoder("hf-hub:owner/name", allow_pickle_weights=True)
        (place / "w.pth").write_bytes(held)
        tries["convert"] = _convert(place / "w.pth", allow=False)
        tries["convert allowed"] = _convert(place / "w.pth", allow=True)
        model = f.copy_of("pca", place / "model")
        (model / f.WEIGHTS).write_bytes(held)
        return tries | {"load": lambda: hs.nn.load(model)}

    return make


def _safetensors(content: Callable[[Path], bytes]) -> Callable[[Path, Path], dict[str, Try]]:
    def make(place: Path, canary: Path) -> dict[str, Try]:
        folders = {kind: f.copy_of(kind, place / kind) for kind in ("timm", "transformers")}
        model = f.copy_of("pca", place / "model")
        for folder in (*folders.values(), model):
            (folder / f.WEIGHTS).write_bytes(content(canary))
        tries = {
            "local-dir": _encoder(f"local-dir:{folders['timm']}", allow_pickle_weights=True),
            "transformers": _encoder(f"transformers:{folders['transformers']}", allow_pickle_weights=True),
            "hub": _encoder(_hub(folders["timm"])),
            "convert": _convert(folders["timm"] / f.WEIGHTS, allow=True),
        }
        return tries | {"load": lambda: hs.nn.load(model)}

    return make


def _model(harm: Callable[[Path, Path], object], kind: str = "pca") -> Callable[[Path, Path], dict[str, Try]]:
    def make(place: Path, canary: Path) -> dict[str, Try]:
        folder = f.copy_of(kind, place / "model")
        harm(folder, canary)
        return {"load": lambda: hs.nn.load(folder)}

    return make


def _network(kind: str, harm: Callable[[Path, Path], object]) -> Callable[[Path, Path], dict[str, Try]]:
    def make(place: Path, canary: Path) -> dict[str, Try]:
        folder = f.copy_of("timm" if kind == "local-dir" else kind, place / "network")
        harm(folder, canary)
        return _places(folder, kind)

    return make


def _gene_sets(write: Callable[[Path], None], name: str) -> Callable[[Path, Path], dict[str, Try]]:
    def make(place: Path, canary: Path) -> dict[str, Try]:
        write(place / name)
        return {"read_gmt": lambda: hs.io.read_gmt(place / name)}

    return make


def _gzip_bomb(path: Path) -> None:
    part = gzip.compress(b"A" * (1 << 26))
    path.write_bytes(part * 32)  # gzip reads members on end as one: 2 GB in 2 MB


def _zip_bomb(path: Path) -> None:
    packed = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packed as archive, archive.open("sets.gmt", "w", force_zip64=True) as member:
        for _ in range(80):
            member.write(b"A" * (1 << 24))


def _image(place: Path, canary: Path) -> dict[str, Try]:
    (place / "slide.npy").write_bytes(npy(canary))
    return {"open_image": lambda: hs.io.open_image(place / "slide.npy")}


def _everywhere() -> Iterator[Attack]:
    for name, content in PICKLES.items():
        yield Attack(f"pickle: {name}", _pickle(content))
    for name, lying in SAFETENSORS.items():
        yield Attack(f"safetensors: {name}", _safetensors(lying))


def _of_models() -> Iterator[Attack]:
    harms: dict[str, Callable[[Path, Path], object]] = {
        "class of the system": f.setting(**{"class": "os:system"}),
        "class that is a list": f.setting(**{"class": ["PCA"]}),
        "option of another type": f.setting(options__n_comps="2"),
        "options in a list": f.setting(options=["n_comps", "centre"]),
        "a thousand million components": f.setting(options__n_comps=10**9),
        "more genes than a number holds": f.setting(meta__sizes__genes=2**70),
        "a thousand million genes": f.setting(meta__sizes__genes=10**9),
        "negative genes": f.setting(meta__sizes__genes=-5),
        "sizes that are text": f.setting(meta__sizes="os.system"),
        "no sizes": f.setting(meta={}),
        "history of another type": f.setting(history="x"),
        "nested deeply": f.text(DEEP_CONFIG),
        "nothing but a list": f.text("[1, 2]"),
        "bytes that are no text": lambda folder, canary: (folder / f.CONFIG).write_bytes(b"\xff\xfe\x00"),
        "a hundred megabytes": f.large,
        "bit flip": f.flip,
    }
    for name, harm in harms.items():
        yield Attack(f"model: {name}", _model(harm))
    wide = f.setting(options__hidden=10**9, options__dim=10**9)
    yield Attack("model: heads of a thousand million", _model(wide, "contrastive"))


DEEP_CONFIG = f'{{"format": 1, "class": "PCA", "options": {f.DEEP}}}'


def _of_networks() -> Iterator[Attack]:
    both: dict[str, Callable[[Path, Path], object]] = {
        "nested deeply": f.text(DEEP_CONFIG),
        "a hundred megabytes": f.large,
        "nothing but a list": f.text("[]"),
        "code of its own": f.code_beside,
        "index that leaves the folder": f.index({"a": "../outside.safetensors"}),
        "index of /etc/passwd": f.index({"a": "../../../../../../../../etc/passwd"}),
        "index of an absolute path": f.index(lambda folder: {"a": str(folder.parent / "outside.safetensors")}),
        "index of a pickle": f.index({"a": "evil.bin"}),
        "index nested deeply": f.index(f.DEEP),
        "index of a list": f.index([["a", "b"]]),
        "adapter beside it": lambda folder, canary: (folder / "adapter_config.json").write_text("{}"),
    }
    for name, harm in both.items():
        yield Attack(f"timm: {name}", _network("local-dir", harm))
        yield Attack(f"transformers: {name}", _network("transformers", harm))
    timm: dict[str, Callable[[Path, Path], object]] = {
        "architecture of the system": f.setting(architecture="os:system"),
        "architecture on the hub": f.setting(architecture="hf-hub:evil/name"),
        "architecture that is a list": f.setting(architecture=["vit"]),
        "checkpoint that an option names": f.pickle_beside("model_args__checkpoint_path"),
        "a thousand million wide": f.setting(model_args__embed_dim=3 * 10**9),
        "wide": f.setting(model_args__embed_dim=12000),
        "a thousand million deep": f.setting(model_args__depth=10**9),
        "deep": f.setting(model_args__depth=16000),
        "image of a million pixels a side": f.setting(model_args__img_size=10**6),
        "image of 16,000 pixels a side": f.setting(model_args__img_size=16000),
        "heads of zero": f.setting(model_args__num_heads=0),
        "not a number": f.setting(model_args__mlp_ratio=float("nan")),
        "ratio without end": f.setting(model_args__mlp_ratio=1e4),
        "classifier of a class": f.setting(pretrained_cfg__classifier=["os", "system"], pretrained_cfg__mean="x"),
        "an input without end": f.setting(
            pretrained_cfg__input_size=[3, 10**9, 10**9], model_args__dynamic_img_size=True
        ),
        "other model": f.setting(architecture="vit_giant_patch14_224", model_args={}),
    }
    for name, harm in timm.items():
        yield Attack(f"timm: {name}", _network("local-dir", harm))
    transformers: dict[str, Callable[[Path, Path], object]] = {
        "a thousand million wide": f.setting(hidden_size=10**9),
        "wide": f.setting(hidden_size=200_000),
        "a thousand million deep": f.setting(num_hidden_layers=10**9),
        "deep": f.setting(num_hidden_layers=900_000),
        "image without end": f.setting(image_size=900_000),
        "heads of zero": f.setting(num_attention_heads=0),
        "kind of another": f.setting(model_type="gpt2"),
        "kind of the system": f.setting(model_type="os.system"),
        "width that is text": f.setting(hidden_size="24"),
    }
    for name, harm in transformers.items():
        yield Attack(f"transformers: {name}", _network("transformers", harm))


def _of_files() -> Iterator[Attack]:
    yield Attack("gene sets: gzip bomb", _gene_sets(_gzip_bomb, "sets.gmt.gz"))
    yield Attack("gene sets: zip bomb", _gene_sets(_zip_bomb, "sets.gmt.zip"))
    yield Attack("image: pickled array of numpy", _image)


ATTACKS = [*_everywhere(), *_of_models(), *_of_networks(), *_of_files()]
