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
from histoscribe.datasets import _bulb, _remote, mouse_olfactory_bulb


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small section 2: a chessboard of spots, half of them under tissue; counts gzipped as copies are."""
    root = tmp_path / "copy" / "stutility_mob"
    root.mkdir(parents=True)
    index = np.argwhere(np.indices((9, 8)).sum(axis=0) % 2 == 0) + 1
    names = [f"{x}x{y}" for x, y in index]
    genes = ["ENSMUSG00000064339.1", "ENSMUSG99.2"]
    counts = pd.DataFrame(np.arange(len(names) * 2).reshape(-1, 2), index=names, columns=genes)
    raw = counts.to_csv(sep="\t").encode()
    import gzip

    (root / "MOB2.tsv.gz").write_bytes(gzip.compress(raw))
    spots = pd.DataFrame(
        {"x": index[:, 0], "y": index[:, 1], "pixel_x": index[:, 0] * 20.0, "pixel_y": index[:, 1] * 20.0}
    )
    spots["selected"] = (index[:, 0] < 6).astype(int)
    spots.to_csv(root / "alignment_table_MOB2.tsv", sep="\t", index=False)
    Image.fromarray(np.full((200, 220, 3), 240, dtype=np.uint8)).save(root / "MOB2.jpg")
    remotes = {}
    for path in root.iterdir():
        content = raw if path.name == "MOB2.tsv.gz" else path.read_bytes()
        name = "stutility_mob/" + ("MOB2.tsv" if path.name == "MOB2.tsv.gz" else path.name)
        remotes[name] = Remote(name, hashlib.sha256(content).hexdigest(), "https://nowhere.invalid/x")
    monkeypatch.setattr(_remote, "registry", lambda: remotes)
    monkeypatch.setenv("HISTOSCRIBE_DATA", str(root.parent))
    return root


def test_a_small_section(folder: Path) -> None:
    adata = mouse_olfactory_bulb(2)
    assert (adata.obs["array_col"] < 6).all()
    assert adata.var_names.tolist() == ["mt-Rnr2", "ENSMUSG99.2"]
    assert adata.var["gene_ids"].tolist() == ["ENSMUSG00000064339.1", "ENSMUSG99.2"]
    assert section_mpp(adata, "MOB2") == pytest.approx(141.4 / (20 * np.sqrt(2)), rel=1e-6)


def test_symbols_that_occur_twice_are_told_apart(tmp_path: Path) -> None:
    path, ids = tmp_path / "genes.tsv", pd.Index(["E1.1", "E2.3", "E3.1", "E9.2"])
    path.write_text("gene_id\tgene_name\nE1.1\tPenk\nE2.3\tDoc2g\nE3.1\tPenk\n")
    assert _bulb._symbols(ids, path).tolist() == ["Penk", "Doc2g", "Penk-1", "E9.2"]


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a folder of data nor a network."""
    monkeypatch.delenv("HISTOSCRIBE_DATA", raising=False)
    monkeypatch.setenv("HISTOSCRIBE_OFFLINE", "1")


@pytest.mark.usefixtures("_alone")
def test_the_first_section_lies_in_the_package() -> None:
    adata = mouse_olfactory_bulb()
    assert adata.shape == (379, 1000)
    table = pd.read_csv(_remote.PACKAGED / "stutility_mob" / "MOB1.tsv.gz", sep="\t", index_col=0)
    np.testing.assert_array_equal(adata.layers["counts"].toarray(), table.loc[adata.obs_names])


@pytest.mark.usefixtures("_alone")
def test_offline() -> None:
    with pytest.raises(OfflineError, match=r"MOB2.tsv.*HISTOSCRIBE_DATA.*STUtility"):
        mouse_olfactory_bulb(2)


def test_symbols_are_those_of_the_whole_table(data: Path) -> None:
    whole = pd.read_csv(data / "stutility_mob" / "mouse_genes.tsv.gz", sep="\t")
    whole = whole.assign(gene_id=whole["gene_id"].str.partition(".")[0]).drop_duplicates("gene_id")
    ours = pd.read_csv(_remote.PACKAGED / "stutility_mob" / "genes.tsv", sep="\t")
    known = whole.set_index("gene_id")["gene_name"].reindex(ours["gene_id"].str.partition(".")[0])
    assert ours["gene_name"].tolist() == known.tolist()


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
