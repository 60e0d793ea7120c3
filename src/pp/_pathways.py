"""Pathway scores: what a spot's genes say together."""

from anndata import AnnData

from .._checks import check, is_count
from .._errors import OptionError
from .._keys import Keys, slug, valid
from .._pathway_scale import PathwayScale
from .._record import AnnDatas, Targets, write
from .._types import check_types
from .._warn import warn
from ._methods import METHODS
from ._nets import GeneSets, named_net, net_hash
from ._scores import Scoring, score_section

_SETS, _METHOD, _MIN_GENES = "hallmark", "ulm", 5  # defaults, which a reference replaces


def score_pathways(
    adata: AnnDatas,
    gene_sets: GeneSets = _SETS,
    *,
    method: str = _METHOD,
    reference: PathwayScale | None = None,
    min_genes: int = _MIN_GENES,
    n_perms: int = 0,
    random_state: int = 0,
    layer: str | None = None,
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Score gene sets in every spot, on log1p of counts per 10,000.

    A spot's score depends on that spot alone, so it does not change with the other spots or sections at hand (but for
    ``"gsva"``). It does depend on which genes the slide measures and on how deeply: to compare slides, pass the
    ``reference`` that :func:`fit_pathway_scale` learnt on training sections.

    Gene names are joined without surrounding blanks and Ensembl versions; where ``var_names`` are of the other kind
    (symbols or Ensembl ids), the column of ``var`` that holds the sets' kind is read, and the log and the record say
    so. Upper and lower case are never made equal. Where two columns hold one gene, the first by name counts as its
    gene in the sets.

    Parameters
    ----------
    adata
        A section, or a list of them.
    gene_sets
        ``"hallmark"`` (human), the path of a GMT file, a dict of set → genes, or a decoupler net: a DataFrame with
        ``source``, ``target`` and maybe ``weight``. With a reference, its sets.
    method
        ``"ulm"``: t-value of a univariate linear model of expression on membership, exact and from sparse counts.
        By decoupler, a block of spots at a time: ``"mlm"``, ``"viper"``, ``"zscore"``, ``"waggr"`` (weighted mean),
        ``"gsea"``, ``"ora"`` (top 5 % of genes), ``"aucell"``, and ``"gsva"``, which compares the spots of a section
        with each other and needs it dense. Those that rank genes break ties by name, so that the order of the genes
        makes no difference. With a reference, its method.
    reference
        Scale from :func:`fit_pathway_scale`. Expression is then centred by the training genes, over the genes of the
        scale alone, and scores are in standard deviations from the training mean at the spot's depth.
    min_genes
        A set with fewer measured genes can't be scored. With a reference, its value.
    n_perms
        Permutations for ``"gsea"`` and ``"waggr"``, which then give normalised scores and p-values.
    random_state
        Seed of the permutations.
    layer
        Layer with raw counts; by default ``layers["counts"]``, else ``X`` if that holds counts.
    key_added
        Slot to write; by default ``score_`` and the name of the sets (``score_pathways`` for a dict or a net).
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes ``obsm["score_<name>"]`` and, where the method gives p-values, ``obsm["padj_<name>"]``
    (Benjamini-Hochberg within a spot), DataFrames (n, P) float32 with NaN columns for sets that can't be scored, and
    ``obs["score_<name>_valid"]``, False for a spot without counts (its scores are 0).

    Raises
    ------
    CountsError
        No raw counts.
    GenesError
        No set can be scored, or the section measures less than 20 % of the reference's genes.
    OptionError
        An unknown method or form of gene sets; sets or options that are not the reference's.

    Warns
    -----
    UserWarning
        Fewer than half of the sets can be scored, or fewer than half of their genes are measured, as on a panel: gene
        names of another kind or species, it may be. Less than 80 % of the reference's genes are measured.

    References
    ----------
    Badia-i-Mompel et al. 2022, doi:10.1093/bioadv/vbac016 (ulm and the others); Liberzon et al. 2015 (Hallmark).

    Examples
    --------
    >>> adata = hs.datasets.her2st("C2")
    >>> hs.pp.score_pathways(adata)
    >>> adata.obsm["score_hallmark"]["HYPOXIA"].mean()

    With sets of one's own:

    >>> hs.pp.score_pathways(adata, {"luminal": ["ESR1", "GATA3", "FOXA1", "KRT8", "KRT18"]})

    To compare slides:

    >>> scale = hs.pp.fit_pathway_scale([hs.datasets.her2st(name) for name in ("B1", "D1", "E1")])
    >>> hs.pp.score_pathways(adata, reference=scale)
    """
    check_types(score_pathways, locals())
    check("min_genes", min_genes, is_count(min_genes), "1 or more")
    check("n_perms", n_perms, is_count(n_perms, 0), "0 or more")
    check_method(method)
    name, how = _scoring(gene_sets, method, reference, min_genes, layer, n_perms, random_state)
    _warn_of_weights(how)
    key = key_added or f"score_{slug(name)}"
    targets = Targets(adata, copy=copy)
    results = [score_section(one, how) for one in targets]
    hashes = {"gene_sets": net_hash(how.net)} | ({"reference": reference.sha256} if reference else {})
    params = {"gene_sets": name, "method": how.method, "min_genes": how.min_genes, "layer": layer}
    params |= {"n_perms": n_perms, "random_state": random_state, "reference": reference is not None}
    for one, (scores, padj, filled, names) in zip(targets, results, strict=True):
        outputs = {Keys.SCORES.renamed(key): scores, valid(key): filled}
        if padj is not None:
            outputs[Keys.SCORES_PADJ.renamed(f"padj_{key.removeprefix('score_')}")] = padj
        inputs = [Keys.COUNTS.renamed(layer or Keys.COUNTS)]
        write(one, outputs, by="pp.score_pathways", params={**params, **names}, inputs=inputs, hashes=hashes)
    return targets.result()


def _warn_of_weights(how: Scoring) -> None:
    if METHODS[how.method].weighted or {weight for genes in how.net.values() for weight in genes.values()} <= {1.0}:
        return
    msg = f"method {how.method!r} takes no weights: a gene is in a set or not, whatever the sign. 'ulm' takes them."
    warn(msg)


def check_method(method: str) -> None:
    """Refuse a method that is not known."""
    check("method", method, method in METHODS, f"one of {list(METHODS)}")


def _scoring(
    gene_sets: GeneSets,
    method: str,
    reference: PathwayScale | None,
    min_genes: int,
    layer: str | None,
    n_perms: int,
    random_state: int,
) -> tuple[str, Scoring]:
    if reference is None:
        name, net = named_net(gene_sets)
        return name, Scoring(net, method, min_genes, layer, n_perms, random_state)
    fix = "Leave it out: the reference says it; or fit a scale with it."
    if not (isinstance(gene_sets, str) and gene_sets == _SETS) and named_net(gene_sets)[1] != reference.net:
        raise OptionError("gene_sets", found="other sets than the reference's", expected=reference.name, fix=fix)
    for field, given, default, theirs in (
        ("method", method, _METHOD, reference.method),
        ("min_genes", min_genes, _MIN_GENES, reference.min_genes),
    ):
        if given not in (default, theirs):
            raise OptionError(field, found=repr(given), expected=f"{theirs!r}, the reference's", fix=fix)
    return reference.name, Scoring(
        reference.net, reference.method, reference.min_genes, layer, random_state=random_state, reference=reference
    )
