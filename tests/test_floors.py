"""The layout's rules: cheap import, floors, relative imports, one place for slot names."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import histoscribe

SOURCES = sorted(Path(histoscribe.__file__).parent.rglob("*.py"))
HEAVY = ("anndata", "torch", "scanpy", "squidpy", "timm", "lightning", "spatialdata", "pandas", "numpy", "sklearn")


def _loaded_by(statement: str) -> list[str]:
    code = f"import sys; {statement}; print([m for m in {HEAVY} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return eval(out.stdout)


def test_import_loads_nothing_heavy() -> None:
    assert _loaded_by("import histoscribe; histoscribe.settings; dir(histoscribe)") == []


def test_no_torch_outside_nn_and_tl() -> None:
    parts = [f"histoscribe.{name}" for name in ("io", "pp", "pl", "datasets", "metrics")]
    loaded = _loaded_by(f"import histoscribe; {'; '.join(parts)}")
    assert not {"torch", "timm", "lightning", "scanpy", "squidpy"} & set(loaded)


def test_every_public_name_is_there() -> None:
    for part in ("io", "pp", "tl", "pl", "nn", "datasets", "metrics"):
        module = getattr(histoscribe, part)
        assert all(hasattr(module, name) for name in module.__all__)
    assert histoscribe.__version__
    with pytest.raises(AttributeError, match="nothing"):
        histoscribe.nothing  # noqa: B018


def test_imports_inside_are_relative() -> None:
    # `from src.x import y` works in a checkout and breaks once installed.
    absolute = re.compile(r"^\s*(?:from|import) (?:src|histoscribe)\b", flags=re.MULTILINE)
    assert [path for path in SOURCES if absolute.search(path.read_text())] == []


def test_slot_names_stand_in_keys_alone() -> None:
    named = [
        (path.name, ast.unparse(node))
        for path in SOURCES
        if path.name not in ("_keys.py", "_record.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Subscript)
        and getattr(node.value, "attr", "") in ("obsm", "obsp", "obs", "uns", "layers")
        and isinstance(node.slice, ast.Constant)
    ]
    assert named == []


def test_nothing_but_the_package_lies_under_src() -> None:
    root = Path(histoscribe.__file__).parent
    kinds = {
        p.suffix for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts and "egg-info" not in str(p)
    }
    assert kinds <= {"", ".gz", ".jpg", ".py", ".typed", ".tsv", ".json", ".toml", ".safetensors"}
