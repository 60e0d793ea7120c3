"""Parsers of files: gene sets, Space Ranger's folder, Spatial Transcriptomics tables, image metadata, manifests."""

import gzip
import io
import json
import zipfile
from typing import Any

import numpy as np
import tifffile
from anndata import AnnData
from hypothesis import strategies as st

import histoscribe as hs
from histoscribe._keys import LibraryKeys
from histoscribe._units import is_plausible_mpp
from histoscribe.io._lattice import VISIUM_STEP_UM, lattice_mpp
from histoscribe.io._manifest import FORMAT, _stated
from histoscribe.io._spaceranger import ARRAY, PIXELS, read_positions, read_scalefactors

from .files import put
from .mutate import json_texts, objects, packed, texts
from .tally import Parser

# Gene sets

GMT = (
    "HALLMARK_HYPOXIA\thttp://x\tPGK1\tPDK1\tGBE1\nEmpty\tna\nOne gene\t\tACTB\n",
    "# made by hand\r\n\r\nβ-oxidation / fat\tx\tA\tA\tB\t\t\r\n",
)


def _zip(content: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sets.gmt", content)
    return held.getvalue()


def _encoded(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    plain = strategy.map(lambda text: text.encode("utf-8", "surrogatepass"))
    ways = [
        plain,
        plain.map(lambda raw: b"\xef\xbb\xbf" + raw),
        plain.map(lambda raw: raw.decode("utf-8", "replace").encode("utf-16")),
    ]
    zipped = plain.map(lambda raw: gzip.compress(raw, mtime=0)) | plain.map(_zip)
    return st.one_of(*ways, zipped, packed(zipped), packed(plain), st.binary(max_size=300))


def _check_sets(sets: dict[str, list[str]]) -> None:
    for name, genes in sets.items():
        assert name
        assert name == name.strip()
        assert len(set(genes)) == len(genes)
        assert all(gene and gene == gene.strip() for gene in genes)


# Space Ranger

FACTORS: tuple[dict[str, Any], ...] = (
    {
        "spot_diameter_fullres": 89.44,
        "tissue_hires_scalef": 0.17,
        "fiducial_diameter_fullres": 144.5,
        "tissue_lowres_scalef": 0.051,
    },
    {"bin_size_um": 8, "microns_per_pixel": 0.2737, "spot_diameter_fullres": 29.2, "tissue_hires_scalef": 0.08},
)
_HEADER = "barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres\n"
_SPOTS = "".join(
    f"ACGT{k:02d}-1,{k % 2},{k // 4},{2 * (k % 4) + k // 4 % 2},{100 + 173 * (k // 4)},{100 + 200 * (k % 4) + 100 * (k // 4 % 2)}\n"
    for k in range(12)
)


def _positions(text: str) -> tuple[Any, float]:
    spots = read_positions(put(text, "spatial", "tissue_positions.csv").parent)
    mpp = lattice_mpp(spots[ARRAY], spots[PIXELS], VISIUM_STEP_UM, name="fuzz", axes="the pixels")
    return spots, mpp


def _check_positions(found: tuple[Any, float]) -> None:
    spots, mpp = found
    assert is_plausible_mpp(mpp)
    assert spots.index.is_unique
    assert spots.index.notna().all()
    assert np.isfinite(spots.to_numpy(dtype=float)).all()
    assert spots["in_tissue"].isin([0, 1]).all()
    assert all(spots[name].dtype == np.int64 for name in ("in_tissue", "array_row", "array_col"))


def _check_factors(factors: dict[str, float]) -> None:
    assert factors[LibraryKeys.SPOT_DIAMETER] > 0
    assert all(type(value) is float and np.isfinite(value) and value > 0 for value in factors.values())


# Spatial Transcriptomics

_PLACES = [(x, y) for x in range(2, 6) for y in range(3, 6)]
_ROWS = "".join(f"{x}x{y}\t{x}\t0\t{y * 7}\n" for x, y in _PLACES)
COUNTS = (
    "\tFASN\tERBB2\tGAPDH\n" + _ROWS,
    "FASN\tERBB2\tGAPDH\n" + _ROWS,
    ("\tFASN\tERBB2\tFASN\n" + _ROWS).replace("\t", ","),
)
SPOTS = (
    "x\ty\tnew_x\tnew_y\tpixel_x\tpixel_y\tselected\n"
    + "".join(f"{x}\t{y}\t{x}.02\t{y}.9\t{300 * x + 0.5}\t{300 * y}\t{int(x < 5)}\n" for x, y in _PLACES),
    "x,y,pixel_x,pixel_y\n" + "".join(f"{x},{y},{300 * x},{300 * y}\n" for x, y in _PLACES),
)


def _read_st(pair: tuple[str, str | None]) -> AnnData:
    counts, spots = pair
    path = None if spots is None else put(spots, "spots.tsv")
    return hs.io.read_st(put(counts, "counts.tsv"), None, spots=path)


def _check_section(adata: AnnData) -> None:
    counts = adata.layers["counts"]
    assert adata.obs_names.is_unique
    assert adata.var_names.is_unique
    assert np.isfinite(counts.data).all()
    assert (counts.data >= 0).all()
    assert np.isfinite(adata.obsm["spatial"]).all()
    (entry,) = adata.uns["spatial"].values()
    assert is_plausible_mpp(entry[LibraryKeys.METADATA][LibraryKeys.MPP])


# Image metadata

_OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
    'DimensionOrder="XYCZT" Type="uint8" SizeX="16" SizeY="16" SizeC="1" SizeZ="1" SizeT="1" PhysicalSizeX="{x}" '
    'PhysicalSizeXUnit="{unit}" PhysicalSizeY="{x}" PhysicalSizeYUnit="{unit}"><TiffData/></Pixels></Image></OME>'
)
_BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><OME>&i;</OME>"
)
DESCRIPTIONS = (
    _OME.format(x="0.25", unit="µm"),
    _OME.format(x="1e-4", unit="mm"),
    "Aperio Image Library v11.2.1\r\n16x16 [0,0 16x16] |AppMag = 20|MPP = 0.4990|Left = 25.7",
    '{"shape": [16, 16]}',
    _BOMB,
)


def _open_tiff(drawn: tuple[str, tuple[int, int], int]) -> float | None:
    text, resolution, unit = drawn
    path = put(b"", "image.tif")
    raw = text.encode("utf-8", "surrogatepass").replace(b"\0", b"")
    options: dict[str, Any] = {"resolution": resolution, "resolutionunit": unit, "metadata": None}
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), description=raw, **options)
    with hs.io.open_image(path) as image:
        return image.mpp if image.has_mpp else None


def _check_mpp(mpp: float) -> None:
    assert is_plausible_mpp(mpp)


# Our own files

MANIFESTS: tuple[dict[str, Any], ...] = (
    {"format": FORMAT, "version": "0.1.0", "elements": {"X": "ab" * 32, "obsm/X_image": "cd" * 32}},
)


def _check_manifest(elements: dict[str, str]) -> None:
    assert all(isinstance(name, str) and isinstance(digest, str) for name, digest in elements.items())


_RATIONAL = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)) | st.just((40_000, 1))
PARSERS = (
    Parser(
        "GMT, plain, gzipped and zipped",
        _encoded(texts(GMT)),
        lambda raw: hs.io.read_gmt(put(raw, "sets.gmt")),
        _check_sets,
    ),
    Parser(
        "scalefactors_json.json",
        json_texts(FACTORS),
        lambda text: read_scalefactors(put(text, "spatial", "scalefactors_json.json").parent),
        _check_factors,
    ),
    Parser("tissue_positions.csv", texts((_HEADER + _SPOTS, _SPOTS)), _positions, _check_positions),
    Parser("ST counts", st.tuples(texts(COUNTS), st.none()), _read_st, _check_section),
    Parser("ST spots", st.tuples(st.just(COUNTS[0]), texts(SPOTS)), _read_st, _check_section),
    Parser(
        "um per pixel of OME-XML, Aperio and TIFF tags",
        st.tuples(texts(DESCRIPTIONS), _RATIONAL, st.sampled_from((1, 2, 3, 4, 5))),
        _open_tiff,
        _check_mpp,
    ),
    Parser(
        "manifest of hs.io.write",
        objects(MANIFESTS).map(lambda value: json.dumps(value, default=str)) | json_texts(MANIFESTS),
        lambda text: _stated(text, "section.h5ad"),
        _check_manifest,
    ),
)
