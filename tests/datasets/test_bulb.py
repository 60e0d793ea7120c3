"""Olfactory bulb sections: spots under tissue, genes by symbol, scale by the staggered array."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from histoscribe._errors import OfflineError, OptionError
from histoscribe._files import Remote
from histoscribe._sections import section_mpp
from histoscribe._units import pitch
from histoscribe.datasets import _remote, mouse_olfactory_bulb


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small section 1: a chessboard of spots, half of them under tissue; counts gzipped as copies are."""
    root = tmp_path / "copy" / "stutility_mob"
    root.mkdir(parents=True)
    index = np.argwhere(np.indices((9, 8)).sum(axis=0) % 2 == 0) + 1
    names = [f"{x}x{y}" for x, y in index]
    genes = ["ENSMUSG01.1", "ENSMUSG02.3", "ENSMUSG03.1", "ENSMUSG99.2"]
    counts = pd.DataFrame(np.arange(len(names) * 4).reshape(-1, 4), index=names, columns=genes)
    raw = counts.to_csv(sep="\t").encode()
    import gzip

    (root / "MOB1.tsv.gz").write_bytes(gzip.compress(raw))
    spots = pd.DataFrame(
        {"x": index[:, 0], "y": index[:, 1], "pixel_x": index[:, 0] * 20.0, "pixel_y": index[:, 1] * 20.0}
    )
    spots["selected"] = (index[:, 0] < 6).astype(int)
    spots.to_csv(root / "alignment_table_MOB1.tsv", sep="\t", index=False)
    table = pd.DataFrame(
        {"gene_id": ["ENSMUSG01.1", "ENSMUSG02.9", "ENSMUSG03.1"], "gene_name": ["Penk", "Doc2g", "Penk"]}
    )
    table.to_csv(root / "mouse_genes.tsv.gz", sep="\t", index=False)
    Image.fromarray(np.full((200, 220, 3), 240, dtype=np.uint8)).save(root / "MOB1.jpg")
    remotes = {}
    for path in root.iterdir():
        content = raw if path.name == "MOB1.tsv.gz" else path.read_bytes()
        name = "stutility_mob/" + ("MOB1.tsv" if path.name == "MOB1.tsv.gz" else path.name)
        remotes[name] = Remote(name, hashlib.sha256(content).hexdigest(), "https://nowhere.invalid/x")
    monkeypatch.setattr(_remote, "registry", lambda: remotes)
    monkeypatch.setenv("HISTOSCRIBE_DATA", str(root.parent))
    return root


def test_a_small_section(folder: Path) -> None:
    adata = mouse_olfactory_bulb(1)
    assert (adata.obs["array_col"] < 6).all()
    assert adata.var_names.tolist() == ["Penk", "Doc2g", "Penk-1", "ENSMUSG99.2"]
    assert adata.var["gene_ids"].tolist() == ["ENSMUSG01.1", "ENSMUSG02.3", "ENSMUSG03.1", "ENSMUSG99.2"]
    assert section_mpp(adata, "MOB1") == pytest.approx(141.4 / (20 * np.sqrt(2)), rel=1e-6)


def test_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HISTOSCRIBE_DATA", raising=False)
    monkeypatch.setenv("HISTOSCRIBE_OFFLINE", "1")
    with pytest.raises(OfflineError, match=r"MOB1.tsv.*HISTOSCRIBE_DATA.*STUtility"):
        mouse_olfactory_bulb()


@pytest.mark.parametrize("section", [0, 5, "1"])
def test_unknown_sections(section: int) -> None:
    with pytest.raises(OptionError, match=r"1, 2, 3 or 4|a whole number"):
        mouse_olfactory_bulb(section)


@pytest.mark.parametrize(("section", "spots"), [(1, 379), (2, 407), (3, 438), (4, 403)])
def test_real_sections(section: int, spots: int, data: Path) -> None:
    adata = mouse_olfactory_bulb(section)
    assert adata.n_vars == 1000
    assert 0 <= spots - adata.n_obs <= 3
    assert adata.var_names.is_unique
    assert "Penk" in adata.var_names
    assert adata.var_names.str.startswith("ENSMUSG").mean() < 0.05
    mpp = section_mpp(adata, f"MOB{section}")
    assert pitch(adata.obsm["spatial"]) * mpp == pytest.approx(141.4, rel=0.03)
