import numpy as np
import pytest

from histoscribe.tl._section_means import SectionMeans


def test_each_section_loses_its_own_mean_and_rows_that_do_not_count_stay() -> None:
    rng = np.random.default_rng(0)
    vectors, ok = rng.normal(size=(40, 3)).astype(np.float32), rng.random(40) < 0.8
    sections = {"a": np.arange(25), "b": np.arange(25, 40)}
    means = SectionMeans()
    means.add(vectors, ok, sections)
    centred = means.subtract(vectors, ok, sections)
    for rows in sections.values():
        there = rows[ok[rows]]
        wanted = vectors[there] - vectors[there].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(centred[there], wanted, atol=1e-6)
    np.testing.assert_array_equal(centred[~ok], vectors[~ok])


@pytest.mark.parametrize("size", [1, 7, 40])
def test_blocks_and_order_make_no_difference_to_the_last_bit(size: int) -> None:
    rng = np.random.default_rng(1)
    vectors, section = (1e3 * rng.normal(size=(40, 3))).astype(np.float32), rng.integers(0, 2, 40)
    ok, order = np.ones(40, dtype=bool), rng.permutation(40)

    def of(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {str(k): np.flatnonzero(section[rows] == k) for k in (0, 1)}

    whole, parts, everything = SectionMeans(), SectionMeans(), np.arange(40)
    whole.add(vectors, ok, of(everything))
    for start in range(0, 40, size):
        rows = order[start : start + size]
        parts.add(vectors[rows], ok[rows], of(rows))
    wanted = whole.subtract(vectors, ok, of(everything))
    np.testing.assert_array_equal(parts.subtract(vectors, ok, of(everything)), wanted)
