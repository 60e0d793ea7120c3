"""What is installed is what is in the checkout: wheel, sdist and editable install all import."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import histoscribe

SRC = Path(histoscribe.__file__).parent
ROOT = SRC.parent

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="runs in a checkout only")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build sdist and, from it, the wheel; away from the checkout, which stays clean."""
    checkout, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    files = [p for p in SRC.rglob("*") if p.is_file() and "__pycache__" not in p.parts and ".egg-info" not in str(p)]
    for path in [*files, *(ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE"))]:
        target = checkout / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(checkout)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


def _sources() -> set[str]:
    kept = {"", ".gz", ".jpg", ".py", ".toml", ".tsv", ".typed"}
    files = [p for p in SRC.rglob("*") if p.is_file() and p.suffix in kept and "__pycache__" not in p.parts]
    return {str(p.relative_to(SRC)) for p in files if ".egg-info" not in str(p)}


def test_wheel_holds_every_file_of_the_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    names = [name for name in zipfile.ZipFile(built[1]).namelist() if ".dist-info/" not in name]
    assert {name.removeprefix("histoscribe/") for name in names} == _sources()


def test_sdist_holds_every_file_of_the_package(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/src/")[2] for name in archive.getnames() if "/src/" in name}
    assert _sources() <= names


@pytest.mark.weekly
def test_wheel_imports_away_from_the_checkout(built: tuple[Path, Path], tmp_path: Path) -> None:
    zipfile.ZipFile(built[1]).extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.meta_path = "
        "[f for f in sys.meta_path if 'editable' not in repr(f).lower()]; import histoscribe as hs; "
        "print(hs.__file__); print(len(hs.datasets.toy(n_spots=10)), hs.io, hs.pl, hs.tl, hs.nn, hs.metrics)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert str(tmp_path) in run.stdout.splitlines()[0]


def test_editable_install_points_into_the_checkout() -> None:
    assert SRC.name == "src"
    assert (SRC / "py.typed").is_file()
