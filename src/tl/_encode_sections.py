"""Gene vectors of a section, in memory or in a file, with either kind of model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._keys import Keys, Slot, valid
from .._record import write
from ..nn import PCA, Model
from ._encode_components import Encoded, component_vectors
from ._encode_tokens import token_vectors
from ._lazy_sections import Source, open_source
from ._section_means import SectionMeans, less_their_means


@dataclass(frozen=True)
class Reading:
    """How sections are read and encoded, as in :func:`encode_genes`."""

    model: Model
    layer: str | None
    library_key: str
    device: str | None
    slot: Slot

    def whole(self, adata: AnnData) -> tuple[NDArray[np.float32], NDArray[np.bool_], dict[str, Any]]:
        """Vectors of a section, which spots have counts, and what the record says of the genes."""
        with open_source(adata, self.layer, self.library_key) as source:
            names, blocks = self._encoded(source)
            vectors, ok = (np.concatenate(of_blocks) for of_blocks in zip(*blocks, strict=True))
            if self._is_centred:
                vectors = less_their_means(vectors, ok, source.sections)
        return vectors, ok, names

    def write(
        self, adata: AnnData, vectors: NDArray[np.float32], ok: NDArray[np.bool_], names: Mapping[str, Any]
    ) -> None:
        """Write them, and how they were made."""
        write(
            adata,
            {self.slot: vectors, valid(self.slot): ok},
            by="tl.encode_genes",
            params={"model": self.model.config, "layer": self.layer, **names},
            inputs=[Keys.COUNTS.renamed(self.layer or Keys.COUNTS)],
            hashes={"encoder": self.model.sha256},
        )

    def into_file(self, path: Path) -> None:
        """Write the vectors of the spots of a file into it, a block of rows at a time."""
        from ..io._amend import amended

        with open_source(path, self.layer, self.library_key):
            pass  # what is no section is refused before it is copied
        with amended(path) as copy, open_source(path, self.layer, self.library_key) as source:
            names, blocks = self._encoded(source)
            n, dim = source.frame.n_obs, self.model.config.n_comps if self._is_pca else self.model.config.dim
            # The checks and the record of write(), with a stand-in for vectors that may be larger than memory.
            held = np.broadcast_to(np.float32(0), (n, dim))
            self.write(source.frame, held, np.zeros(n, dtype=bool), names)
            rows, ok, done = copy.rows(self.slot, n, dim), np.zeros(n, dtype=bool), 0
            means, bounds = SectionMeans(), []
            for vectors, own in blocks:
                start, done = done, done + len(own)
                rows[start:done], ok[start:done] = vectors, own
                if self._is_centred:
                    means.add(vectors, own, source.rows_of(start, done))
                    bounds.append((start, done))
            for start, stop in bounds:
                rows[start:stop] = means.subtract(rows[start:stop], ok[start:stop], source.rows_of(start, stop))
            copy.put(valid(self.slot), ok)
            copy.put(Keys.RECORD, dict(source.frame.uns[Keys.RECORD]))

    @property
    def _is_centred(self) -> bool:
        """Whether genes were ranked against their own section: then vectors, too, are what differs from it."""
        return self.model.meta.get("rank") == "section"

    @property
    def _is_pca(self) -> bool:
        return isinstance(self.model.config, PCA)

    def _encoded(self, source: Source) -> tuple[dict[str, Any], Iterator[Encoded]]:
        if self._is_pca:
            return component_vectors(source, self.model)
        return token_vectors(source, self.model, self.device)
