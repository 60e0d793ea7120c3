"""What a fusion model learns from: vectors of image and genes, or pixels and vectors of genes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import MissingError, OptionError
from .._keys import Slot
from .._progress import progress
from ..nn import Model
from ..nn._data import Batch
from ..nn._seed import seeded
from ._fusion_genes import FusionGenes
from ._loaders import region_boxes, take
from ._pixels import pixels_of

_AT_ONCE = 64  # tiles
_HOW = "Run hs.pp.tile(adata, context=(1, 3)) and hs.tl.encode_image(adata, ..., tiles_key=('tiles', 'tiles_x3'))"


class Vectors:
    """Vectors of image and genes, and of regions where there are any; or tokens of the genes."""

    def __init__(self, config: Any, batch: Batch, genes: FusionGenes | None) -> None:
        self.config, self.batch, self.genes = config, batch, genes
        self.reads = [*config.reads, *(["region"] if "region" in batch else [])]
        self.made_last = set() if genes is None else {"genes"}
        """Vectors that are not learned from, for the model makes them itself."""

    def model(self, meta: Mapping[str, Any], random_state: int) -> Model:
        """Make the model, with fresh weights but for those of encoders that are trained further."""
        networks = self.networks()
        with seeded(random_state):
            module = self.config.build(meta["sizes"], **networks)
        said = {name: {key: value for key, value in one.items() if key != "network"} for name, one in networks.items()}
        return Model(self.config, module, {**meta, **said})

    def networks(self) -> dict[str, dict[str, Any]]:
        """Describe the encoders that the model is built around, each with its network."""
        return {} if self.genes is None else {"gene_encoder": self.genes.described}

    def serve(self, rows: NDArray[np.bool_]) -> Any:
        """Rows to learn from."""
        tokens = {} if self.genes is None else self.genes.served
        held = {name: value for name, value in self.batch.items() if name not in self.made_last}
        return take({**held, **tokens}, rows)

    def finish(self, model: Model, device: str | None) -> None:
        """Have all vectors in the batch that the model is finished with."""
        if self.genes is not None:
            self.batch["genes"] = self.genes.encoded(model, device)


class Tiles(Vectors):
    """Pixels of the tiles and of their surroundings, and vectors or tokens of genes."""

    def __init__(
        self,
        config: Any,
        batch: Batch,
        genes: FusionGenes | None,
        encoder: Any,
        blueprint: Mapping[str, Any],
        pixels: Any,
    ) -> None:
        super().__init__(config, batch, genes)
        self.encoder, self.blueprint, self.pixels = encoder, blueprint, pixels
        self.batch["row"] = torch.arange(len(batch["section"]))
        self.made_last.add("image")

    def networks(self) -> dict[str, dict[str, Any]]:
        """Describe the encoders that the model is built around, each with its network."""
        return {**super().networks(), "trunk": {**self.blueprint, "network": self.encoder.module}}

    def serve(self, rows: NDArray[np.bool_]) -> Any:
        """Rows to learn from, with their pixels."""
        from ..nn.fusion._pixel_rows import PixelRows

        return PixelRows(self.pixels, super().serve(rows), augment=self.config.augment)

    def finish(self, model: Model, device: str | None) -> None:
        """Encode the tiles with the trained network."""
        super().finish(model, device)
        encoder, ok = model.module.encoder(device), self.batch["image_valid"].numpy()
        vectors = np.zeros((len(ok), encoder.dim), dtype=np.float32)
        rows = np.flatnonzero(ok)
        with progress(desc="encoding tiles", total=len(rows), unit="tile") as bar:
            for start in range(0, len(rows), _AT_ONCE):
                some = rows[start : start + _AT_ONCE]
                vectors[some] = encoder(self.pixels.patches[some])
                bar.update(len(some))
        model.module.cpu()
        self.batch["image"] = torch.from_numpy(vectors)


@contextmanager
def fusion_data(
    config: Any,
    batch: Batch,
    adatas: Sequence[AnnData],
    genes: FusionGenes | None,
    *,
    tiles_key: str,
    library_key: str,
    random_state: int,
) -> Iterator[Vectors]:
    """Serve what a model learns from; pixels are held for as long as it takes."""
    if not getattr(config, "reads_pixels", False):
        yield Vectors(config, batch, genes)
        return
    from ..nn.image._blueprint import blueprint, load_network

    encoder = load_network(
        config.encoder, pretrained=config.pretrained, options=config.encoder_options, random_state=random_state
    )
    if not config.pretrained:  # its scale is that of the tiles it learns from
        encoder.mpp = _tile_um(batch) / encoder.size
    said = {**blueprint(encoder), "mpp": encoder.mpp}
    with pixels_of(adatas, encoder, tiles_key=tiles_key, library_key=library_key) as (pixels, seen):
        batch["image_valid"] = torch.from_numpy(seen)
        batch["image"] = torch.zeros(len(seen), 0)
        yield Tiles(config, batch, genes, encoder, said, pixels)


def _tile_um(batch: Batch) -> float:
    sides = batch["boxes"][:, 2]
    return float(sides[sides.isfinite()].median())


def regions(config: Any, batch: Batch, adatas: Sequence[AnnData], slot: Slot | None, library_key: str) -> None:
    """Add the boxes of regions to a batch that has vectors of them; refuse losses that need those where there are none."""
    if slot is not None:
        batch["region_boxes"] = torch.from_numpy(region_boxes(adatas, slot, library_key))
    elif getattr(config, "asks_for_regions", False) and not config.reads_pixels:
        fix = f"{_HOW}, then pass region_rep='X_image_x3'."
        raise MissingError(
            "region_rep", found=f"None for losses={config.losses}", expected="a slot of region vectors", fix=fix
        )


def check_region_rep(config: Any, adatas: Sequence[AnnData], region_rep: str | None) -> None:
    """Refuse vectors of regions that are not there, or for a model that does not read any."""
    if region_rep is None:
        return
    if hasattr(config, "asks_for_regions") and not config.reads_pixels:
        lacking = [one for one in adatas if region_rep not in one.obsm]
        if lacking:
            found = f"only {sorted(map(str, lacking[0].obsm))}"
            raise MissingError(f"obsm[{region_rep!r}]", found=found, expected="vectors of regions", fix=f"{_HOW}.")
        return
    said = "pixels, which regions are cut from" if getattr(config, "reads_pixels", False) else type(config).__name__
    fix = "Leave it out."
    raise OptionError("region_rep", found=f"{region_rep!r} for {said}", expected="None", fix=fix)
