"""The loop of the univariate linear model: sums over a spot's genes, straight from raw counts."""

import numpy as np

from .._jit import Array, kernel

_TABLE = 64  # counts below this are whole numbers that come again and again: their logarithm is taken once a spot


@kernel
def add_up(
    data: Array,
    indices: Array,
    indptr: Array,
    first: int,
    inside: Array,
    centre: Array,
    scale: Array,
    first_set: Array,
    first_weight: Array,
    set_start: Array,
    set_index: Array,
    set_weight: Array,
    products: Array,
    moments: Array,
) -> None:
    """Sum log1p CP10k ``x``, over the rows from ``first`` on and the genes ``inside`` (g,).

    ``products`` (rows, P + 1) takes the sums of x * scale * weight, and ``moments`` (rows, 3) those of x * scale, of
    (x * scale)^2 - 2 x * scale * centre, and of the counts. Entries that are zero add nothing, so none is visited.
    Each gene has a first set, with weight 0 in a spare column of ``products`` for genes in no set: most genes are in
    one set or none, and a processor guesses badly which. The sets beyond the first follow as CSR.
    """
    logarithm = np.empty(_TABLE)
    for i in range(products.shape[0]):
        start, stop = indptr[first + i], indptr[first + i + 1]
        total = 0.0
        for j in range(start, stop):
            if inside[indices[j]]:
                total += np.float64(data[j])
        moments[i, 2] = total
        if total <= 0:
            continue
        per_10k = 1e4 / total
        logarithm[:] = -1.0
        value_sum = square_sum = 0.0
        for j in range(start, stop):
            gene, count = indices[j], np.float64(data[j])
            if not inside[gene] or count <= 0:
                continue
            whole = np.int64(count)
            if whole < _TABLE and whole == count:
                value = logarithm[whole]
                if value < 0:
                    value = logarithm[whole] = np.log1p(count * per_10k)
            else:
                value = np.log1p(count * per_10k)
            value *= scale[gene]
            value_sum += value
            square_sum += value * (value - 2 * centre[gene])
            products[i, first_set[gene]] += value * first_weight[gene]
            for k in range(set_start[gene], set_start[gene + 1]):
                products[i, set_index[k]] += value * set_weight[k]
        moments[i, 0], moments[i, 1] = value_sum, square_sum
