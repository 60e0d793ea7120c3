"""Weights files of torch.save's kind that harm whoever reads them carelessly. Each is bytes, made at test time."""

import io
import os
import pickle
import pickletools
import struct
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch


class _Run:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


class _State:
    """Unpickled through BUILD: its state is handed to what ``__reduce__`` made."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return OrderedDict, (), {"held": _Run(self.command)}


def reduce(canary: Path) -> bytes:
    """A bare pickle whose __reduce__ calls os.system."""
    return pickle.dumps(_Run(f"touch {canary}"), protocol=2)


def build(canary: Path) -> bytes:
    """BUILD on an allowed class, with code in its state."""
    return pickle.dumps(_State(f"touch {canary}"), protocol=2)


def global_eval(canary: Path) -> bytes:
    """Opcodes GLOBAL and REDUCE by hand: builtins.eval of a text."""
    code = f"open({str(canary)!r}, 'w').close()"
    return b"c" + b"builtins\neval\n" + b"(V" + code.encode() + b"\ntR."


def stack_global(canary: Path) -> bytes:
    """STACK_GLOBAL, of names that are put together on the stack."""
    code = f"open({str(canary)!r}, 'w').close()".encode()
    names = b"".join(b"\x8c" + struct.pack("<B", len(name)) + name for name in (b"builtins", b"exec"))
    made = b"\x80\x04" + names + b"\x93" + b"X" + struct.pack("<I", len(code)) + code + b"\x85R."
    pickletools.dis(made, out=io.StringIO())  # it is well-formed
    return made


def _zipped(content: bytes, **more: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", b"3\n")
        for name, held in more.items():
            archive.writestr(f"archive/{name}", held)
    return out.getvalue()


def in_zip(canary: Path) -> bytes:
    """The same inside today's zip format."""
    return _zipped(reduce(canary))


def in_tensor_hook(canary: Path) -> bytes:
    """A state dict that looks like one, with code behind the last tensor."""
    out = io.BytesIO()
    torch.save({"weight": torch.zeros(2), "metadata": _Run(f"touch {canary}")}, out)
    return out.getvalue()


def legacy(canary: Path) -> bytes:
    """The format before zip: several pickles in a row."""
    out = io.BytesIO()
    torch.save({"w": _Run(f"touch {canary}")}, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


def legacy_tar(canary: Path) -> bytes:
    """The oldest format: a tar of pickles."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            held = reduce(canary)
            member = tarfile.TarInfo(name)
            member.size = len(held)
            archive.addfile(member, io.BytesIO(held))
    return out.getvalue()


def torchscript(canary: Path) -> bytes:
    """An archive of TorchScript, which holds a program."""
    return _zipped(reduce(canary), **{"constants.pkl": pickle.dumps(()), "code/__torch__.py": b"x = 1\n"})


def zip_slip(canary: Path) -> bytes:
    """Names that lead out of the folder where an archive is unpacked."""
    out = io.BytesIO(_good())
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(f"../../../../../../..{canary}", b"slipped")
        archive.writestr(str(canary), b"slipped")
    return out.getvalue()


def zip_link(canary: Path) -> bytes:
    """A symbolic link among its members."""
    out = io.BytesIO(_good())
    link = zipfile.ZipInfo("archive/data/7")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(link, str(canary))
    return out.getvalue()


def zip_bomb(canary: Path) -> bytes:
    """More than a gigabyte of zeros for one tensor, packed into few megabytes."""
    n = 5 << 28
    with zipfile.ZipFile(io.BytesIO(_good())) as archive:
        described = archive.read("archive/data.pkl")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", _of_floats(described, n // 4, stored=True))
        archive.writestr("archive/version", b"3\n")
        with archive.open("archive/data/0", "w", force_zip64=True) as member:
            for _ in range(n >> 24):
                member.write(bytes(1 << 24))
    return out.getvalue()


def huge_shape(canary: Path) -> bytes:
    """A tensor that claims 40 GB in a storage of eight bytes."""
    with zipfile.ZipFile(io.BytesIO(_good())) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    held["archive/data.pkl"] = _of_floats(held["archive/data.pkl"], 10**10, stored=False)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    return out.getvalue()


def huge_view(canary: Path) -> bytes:
    """A tensor that claims 40 GB by repeating one number."""
    out = io.BytesIO()
    torch.save({"pos_embed": torch.zeros(1).expand(10**10)}, out)
    return out.getvalue()


def legacy_huge_storage(canary: Path) -> bytes:
    """The old format, with a storage that says it is 400 GB."""
    out = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, out, _use_new_zipfile_serialization=False)
    return out.getvalue().replace(b"K\x02N", b"\x8a\x05\x00\xe8\x76\x48\x17N", 1)


def sparse(canary: Path) -> bytes:
    """A sparse tensor of a shape that no memory holds."""
    out = io.BytesIO()
    torch.save({"w": torch.sparse_coo_tensor(torch.tensor([[0]]), torch.ones(1), (10**12,))}, out)
    return out.getvalue()


def npy(canary: Path) -> bytes:
    """An array of numpy of pickled objects."""
    out = io.BytesIO()
    np.save(out, np.array([_Run(f"touch {canary}")], dtype=object), allow_pickle=True)
    return out.getvalue()


def npz(canary: Path) -> bytes:
    """Arrays of numpy with pickled objects among them."""
    out = io.BytesIO()
    np.savez(out, weight=np.array([_Run(f"touch {canary}")], dtype=object))
    return out.getvalue()


def _good() -> bytes:
    """A tensor of 2 numbers under the name w, in an archive called archive."""
    out = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, out)
    return out.getvalue()


def _of_floats(described: bytes, n: int, *, stored: bool) -> bytes:
    """Let a description of a tensor of two numbers speak of n: in its shape, and in its storage."""
    as_long = b"\x8a\x05" + n.to_bytes(5, "little")
    assert described.count(b"K\x02\x85") == described.count(b"K\x02tq") == 1
    changed = described.replace(b"K\x02\x85", as_long + b"\x85")
    return changed.replace(b"K\x02tq", as_long + b"tq") if stored else changed


ALIVE = {"reduce": reduce, "build": build, "global": global_eval, "stack_global": stack_global}
"""Those that pickle itself runs."""

ALIVE_IN_TORCH = {"zip": in_zip, "beside a tensor": in_tensor_hook, "legacy": legacy}
"""Those that torch.load runs where it is told to trust."""

PICKLES = {
    **ALIVE,
    **ALIVE_IN_TORCH,
    "tar": legacy_tar,
    "torchscript": torchscript,
    "zip slip": zip_slip,
    "link in zip": zip_link,
    "zip bomb": zip_bomb,
    "huge shape": huge_shape,
    "huge view": huge_view,
    "legacy huge storage": legacy_huge_storage,
    "sparse": sparse,
    "npy": npy,
    "npz": npz,
}
