"""The data contract: every slot that histoscribe reads or writes, one line each. docs/contract is made from this."""

import re


class Slot(str):
    """Key of a slot, with what is known of it. It is a string: ``adata.obsm[Keys.TILES]``."""

    __slots__ = ("dtype", "meaning", "readers", "shape", "where", "writer")
    where: str
    shape: str
    dtype: str
    writer: str
    readers: str
    meaning: str

    def __new__(
        cls, where: str, key: str, shape: str, dtype: str, *, writer: str, readers: str = "", meaning: str
    ) -> "Slot":
        """Make the key and remember its part of the contract."""
        self = super().__new__(cls, key)
        self.where, self.shape, self.dtype = where, shape, dtype
        self.writer, self.readers, self.meaning = writer, readers, meaning
        return self

    # A slot is its key to AnnData, but obsm["spatial"] and uns["spatial"] are two slots.
    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True and (not isinstance(other, Slot) or self.where == other.where)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)  # copies inside an AnnData are plain strings

    def renamed(self, key: str) -> "Slot":
        """Return the same slot under a name that the user chose (``key_added=``, ``use_rep=``)."""
        return Slot(
            self.where, key, self.shape, self.dtype, writer=self.writer, readers=self.readers, meaning=self.meaning
        )


# fmt: off
class Keys:
    """All slots, in the order in which a section passes through them."""

    COUNTS = Slot("layers", "counts", "(n, g)", "as read", writer="io", readers="pp, tl", meaning="raw counts")
    SPATIAL = Slot("obsm", "spatial", "(n, 2)", "float64", writer="io, pp.align_affine", readers="pp, tl, pl", meaning="x right, y down, full-resolution pixels")
    SPATIAL_BEFORE = Slot("obsm", "spatial_before", "(n, 2)", "float64", writer="pp.align_affine", readers="pp.align_affine", meaning="positions before they were last moved")
    LIBRARIES = Slot("uns", "spatial", "dict", "-", writer="io, pp.tissue_mask", readers="io, pp, tl, pl", meaning="library_id → images, scalefactors, metadata (scanpy's dict)")
    LIBRARY_ID = Slot("obs", "library_id", "(n,)", "category", writer="io", readers="pp, tl, pl", meaning="section of each spot")
    PATIENT = Slot("obs", "patient", "(n,)", "category", writer="io", readers="tl", meaning="patient of each spot")
    REGION = Slot("obs", "region", "(n,)", "category", writer="datasets.her2st", readers="tl, pl", meaning="pathologist's label")
    ARRAY_ROW = Slot("obs", "array_row", "(n,)", "int64", writer="io", readers="-", meaning="row on the spot array; never a metric")
    ARRAY_COL = Slot("obs", "array_col", "(n,)", "int64", writer="io", readers="-", meaning="column on the spot array; never a metric")
    IN_TISSUE = Slot("obs", "in_tissue", "(n,)", "int64", writer="io.read_visium", readers="-", meaning="whether Space Ranger found tissue over the spot")
    GENE_IDS = Slot("var", "gene_ids", "(g,)", "str", writer="io", readers="-", meaning="Ensembl id of each gene")
    TISSUE_FRACTION = Slot("obs", "tissue_fraction", "(n,)", "float32", writer="pp.tissue_mask, io.tile_slide", readers="tl, pl", meaning="share of a tile that is tissue")
    ON_TISSUE = Slot("obs", "on_tissue", "(n,)", "bool", writer="pp.check_registration", readers="pl.alignment", meaning="spot under which the image shows tissue")
    REGISTRATION = Slot("uns", "registration", "dict", "-", writer="pp.check_registration", readers="pl.alignment", meaning="library_id → how image and positions fit: checks, score by displacement, orientations")
    TILES = Slot("obsm", "tiles", "(n, 4)", "float64", writer="pp.tile", readers="tl.encode_image, pl.tiles, pl.retrieval", meaning="x, y, w, h in the frame of spatial; may reach over the border")
    TOKENS = Slot("obsm", "gene_tokens", "(n, L)", "uint16", writer="pp.tokenize_genes", readers="tl", meaning="genes by anomaly rank; PAD 0, MASK 1, CLS 2, gene k → 30 + k; uint32 from 65,536 tokens on")
    SCORES = Slot("obsm", "score_hallmark", "(n, P) DataFrame", "float32", writer="pp.score_pathways", readers="tl, pl", meaning="pathway scores; NaN for a set that can't be scored")
    SCORES_PADJ = Slot("obsm", "padj_hallmark", "(n, P) DataFrame", "float32", writer="pp.score_pathways", readers="pl", meaning="their p-values, Benjamini-Hochberg within a spot")
    CONNECTIVITIES = Slot("obsp", "spatial_connectivities", "(n, n) csr", "float64", writer="pp.spatial_graph", readers="tl, squidpy", meaning="symmetric neighbour graph, 0 or 1")
    DISTANCES = Slot("obsp", "spatial_distances", "(n, n) csr", "float64", writer="pp.spatial_graph", readers="tl, squidpy", meaning="lengths of its edges, um")
    NEIGHBORS = Slot("uns", "spatial_neighbors", "dict", "-", writer="pp.spatial_graph", readers="squidpy", meaning="squidpy's record of the graph")
    X_IMAGE = Slot("obsm", "X_image", "(n, d)", "float32", writer="tl.encode_image", readers="tl", meaning="image vector of each tile")
    X_GENES = Slot("obsm", "X_genes", "(n, d)", "float32", writer="tl.encode_genes", readers="tl", meaning="gene vector of each spot")
    X_FUSED = Slot("obsm", "X_fused", "(n, d)", "float32", writer="tl.fuse, tl.embed", readers="tl", meaning="both modalities in one vector")
    X_FUSED_IMAGE = Slot("obsm", "X_fused_image", "(n, d)", "float32", writer="tl.fuse, tl.embed", readers="tl", meaning="image alone, in the joint space")
    X_FUSED_GENES = Slot("obsm", "X_fused_genes", "(n, d)", "float32", writer="tl.fuse, tl.embed", readers="tl", meaning="genes alone, in the joint space")
    DOMAIN = Slot("obs", "domain", "(n,)", "category", writer="tl.domains_leiden, tl.domains_gmm", readers="tl, pl", meaning="tissue domain")
    TRUE_DOMAIN = Slot("obs", "true_domain", "(n,)", "category", writer="datasets.toy", meaning="planted domain")
    TRUE_PATHWAYS = Slot("obsm", "true_pathways", "(n, P) DataFrame", "float32", writer="datasets.toy", meaning="planted pathway activity")
    TRUE_CELL_TYPES = Slot("obsm", "true_cell_types", "(n, C) DataFrame", "float32", writer="datasets.toy", meaning="planted cell-type shares")
    TRUE_CARRIER = Slot("obs", "true_carrier", "(n,)", "bool", writer="datasets.toy", meaning="spot that carries the slide's label")
    TRUTH = Slot("uns", "truth", "dict", "-", writer="datasets.toy", meaning="everything else that was planted")
    RECORD = Slot("uns", "histoscribe", "dict", "-", writer="every write", readers="all", meaning='"<slot>.<key>" → by, version, params, inputs, hashes')
# fmt: on


def slots() -> list[Slot]:
    """All slots of the contract, in order."""
    return [value for value in vars(Keys).values() if isinstance(value, Slot)]


def valid(key: str) -> Slot:
    """Slot that marks the rows for which ``key`` could be computed."""
    return Slot("obs", f"{key}_valid", "(n,)", "bool", writer="as the key", meaning=f"row of {key} holds a result")


def colors(key: str) -> Slot:
    """Slot that keeps the colours of the categories of ``obs[key]``, in their order: scanpy's."""
    return Slot("uns", f"{key}_colors", "(k,)", "str", writer="pl", readers="pl, scanpy", meaning=f"colours of {key}")


def slug(name: str) -> str:
    """Name that is safe as a key or column: ``/`` breaks h5ad and zarr."""
    return re.sub(r"[^\w.\-+ ]+", "_", str(name).strip()) or "_"


class LibraryKeys:
    """Names inside ``uns["spatial"][library_id]``: scanpy's, and ours under ``metadata``."""

    IMAGES = "images"
    HIRES = "hires"
    LOWRES = "lowres"
    SCALEFACTORS = "scalefactors"
    HIRES_SCALE = "tissue_hires_scalef"
    LOWRES_SCALE = "tissue_lowres_scalef"
    TISSUE_MASK = "tissue_mask"
    TISSUE_MASK_SCALE = "tissue_tissue_mask_scalef"
    SPOT_DIAMETER = "spot_diameter_fullres"
    METADATA = "metadata"
    MPP = "mpp"
    PATH = "source_image_path"
    SCALE = "image_scale"
    SHA256 = "image_sha256"
    PATIENT = "patient"
