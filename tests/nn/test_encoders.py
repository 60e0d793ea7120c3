"""The table of encoders, and objects of users in the place of its names."""

import json
from typing import Any

import numpy as np
import pytest
import timm
import torch

import histoscribe as hs
from histoscribe._errors import FileError, MissingError, OptionError
from histoscribe.nn.image import _table

from ._networks import tiles_of


def test_table_is_one_line_an_encoder_and_complete() -> None:
    table = hs.nn.encoders()
    assert list(table["name"]) == list(hs.nn.ENCODERS)
    assert len(hs.nn.ENCODERS) == table["name"].nunique() > 30
    assert table.loc[table["loadable"] != "no", "dim"].notna().all()
    assert set(table["loadable"]) == {"yes", "convert", "no"}
    assert {"stain_stats", "uni", "uni2_h", "virchow2", "gigapath", "phikon", "ctranspath"} <= set(table["name"])
    assert table.set_index("name").loc["ctranspath", "mpp"] == 1.0


def test_rows_say_nothing_that_contradicts_itself() -> None:
    for name, row in _table.rows().items():
        assert name == _table.known(name)
        assert len(row.dim) in (0, len(row.poolings))
        assert row.norm is None or row.norm in _table.NORMS
        assert row.interpolation in ("bicubic", "bilinear")
        assert bool(row.instead) == (row.loadable == "no")
        assert (row.architecture is not None) or row.loadable != "convert"
        assert row.sha256 is None or len(row.sha256) == 64


def _built(row: _table.Row) -> Any:
    from histoscribe.nn.image._timm import resolved

    options = {key: value for key, value in row.options.items() if key != "depth"}
    options |= {"depths": (1, 1, 1, 1)} if "swin" in str(row.architecture) else {"depth": 1}
    with torch.device("meta"):
        return timm.create_model(row.architecture or "vit_giant_patch14_224", **resolved(options))


BUILT_HERE = ["gpfm", "ctranspath", "chief", "openmidnight", "gigapath_flash", "uni2_h"]


@pytest.mark.parametrize("name", BUILT_HERE)
def test_architectures_of_the_table_have_the_stated_width(name: str) -> None:
    row = _table.rows()[name]
    assert _built(row).num_features == row.dim[0]


@pytest.mark.parametrize("said", ["UNI2-h", "uni2_h", "H-optimus-0", "Phikon-v2", "kaiko S/16", "Mean RGB"])
def test_names_are_taken_however_they_are_written(said: str) -> None:
    assert _table.known(said) in hs.nn.ENCODERS


@pytest.mark.parametrize("name", ["stain_stats", "mean_rgb"])
def test_encoders_without_weights_have_the_same_face(name: str) -> None:
    encoder = hs.nn.load_encoder(name, mpp=1.0, size=112)
    assert (encoder.name, encoder.size, encoder.mpp, encoder.patch) == (name, 112, 1.0, None)
    assert encoder(tiles_of(2, 112)).shape == (2, encoder.dim)
    assert json.loads(json.dumps(encoder.record))["source"] == "histoscribe"
    with pytest.raises(OptionError, match="'dense' with " + name):
        encoder.dense(tiles_of())
    with pytest.raises(OptionError, match=r"pooling: found 'cls'; expected None for " + name):
        hs.nn.load_encoder(name, pooling="cls")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("stain_stat", "stain_stats"),
        ("virchow3", "virchow2"),
        ("vit_smal_patch16_224", "vit_small_patch16_224"),
        ("resnet50.a1_in2k", "resnet50.a1_in1k"),
    ],
)
def test_unknown_name_gives_the_nearest(name: str, near: str) -> None:
    with pytest.raises(MissingError, match=rf"encoder: found '{name}'.*Did you mean .*{near}.*hs\.nn\.encoders\(\)"):
        hs.nn.load_encoder(name)


def test_encoders_that_need_foreign_code_say_what_to_do() -> None:
    with pytest.raises(
        OptionError, match=r"'hibou_b', which is only named here.*trust_remote_code.*object of your own"
    ):
        hs.nn.load_encoder("hibou-b")
    with pytest.raises(
        FileError, match=r"ctranspath: .*pickle.*convert_weights\(path, 'folder', architecture='ctranspath'"
    ):
        hs.nn.load_encoder("ctranspath")


def test_bare_repository_is_asked_what_it_is() -> None:
    with pytest.raises(OptionError, match=r"'owner/name'.*Write 'hf-hub:owner/name'.*'local-dir:owner/name'"):
        hs.nn.load_encoder("owner/name")


class _Mine:
    name, size, mpp, sha256 = "mine", 32, 0.5, "abc"

    def __call__(self, tiles: Any) -> Any:
        return tiles.mean(axis=(1, 2))


def test_object_of_the_user_is_given_what_it_lacks() -> None:
    encoder = hs.nn.load_encoder(_Mine())
    assert (encoder.name, encoder.dim, encoder.patch) == ("mine", 3, None)
    vectors = encoder(tiles_of(2, 32))
    assert vectors.dtype == np.float32
    assert hs.nn.load_encoder(encoder) is encoder
    with pytest.raises(OptionError, match="'dense' with mine"):
        encoder.dense(tiles_of(2, 32))


@pytest.mark.parametrize("thing", [object(), _Mine, 3])
def test_what_is_no_encoder_is_refused(thing: Any) -> None:
    with pytest.raises(OptionError, match=r"encoder: found .*expected an encoder object"):
        hs.nn.load_encoder(thing)
