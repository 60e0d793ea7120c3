import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as Reference

from histoscribe.nn.layers import Ridge, Standardise, Whiten


def _spiked(n: int = 2000, d: int = 40, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Two strong directions of unequal size, over noise."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    x = rng.normal(size=(n, d)) * np.r_[8, 4, np.ones(d - 2)] @ axes.T + 5
    return torch.from_numpy(x).float(), axes


def test_standardise_per_feature_and_as_a_whole() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(3, [1, 10, 100], (500, 3))).float()
    each, whole = Standardise(3, per_feature=True), Standardise(3, per_feature=False)
    each.fit(x)
    whole.fit(x)
    np.testing.assert_allclose(each(x).std(0, correction=0), 1, rtol=1e-4)
    np.testing.assert_allclose(whole(x).std(0, correction=0) / x.std(0, correction=0), 1 / whole.scale, rtol=1e-4)
    assert float(whole(x).square().mean()) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e4])
def test_constant_feature_stays_zero_elsewhere_too(value: float) -> None:
    x = torch.full((10, 2), value)
    x[:, 1] = torch.arange(10)
    layer = Standardise(2, per_feature=True)
    layer.fit(x)
    assert (layer(x + torch.tensor([1.0, 0.0]))[:, 0] == 0).all()


def test_whitening_evens_out_signal_and_drops_noise() -> None:
    x, axes = _spiked()
    layer = Whiten(40, 32)
    layer.fit(x)
    spread = (layer(x) / layer(x).std(0).max()).std(0).numpy()
    weight = [(1 - 1 / v) * v / (v + 64) for v in (64, 16)]  # variances over a noise of 1
    assert spread[1] == pytest.approx(np.sqrt(weight[1] / weight[0]), rel=0.05)
    assert (spread[2:] < 0.2).all()
    assert float(layer(x).norm(dim=1).median()) == pytest.approx(1, rel=1e-4)
    direction = layer.map[:, 0].numpy() / np.linalg.norm(layer.map[:, 0])
    assert abs(direction @ axes[:, 0]) > 0.99


@pytest.mark.parametrize(("n", "d"), [(5, 40), (50, 3), (50, 1)])
def test_whitening_of_few_rows_or_features_is_finite(n: int, d: int) -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(n, d))).float()
    layer = Whiten(d, 32)
    layer.fit(x)
    assert layer(x).shape == (n, min(d, 32))
    assert torch.isfinite(layer(x)).all()
    assert float(layer(x).norm(dim=1).median()) == pytest.approx(1, rel=1e-3)


def test_whitening_of_constant_rows_is_zero() -> None:
    layer = Whiten(30, 8)
    layer.fit(torch.full((25, 30), 2.0))
    assert (layer(torch.full((4, 30), 2.0)) == 0).all()


def test_ridge_is_that_of_the_best_penalty() -> None:
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(60, 20)), rng.normal(size=(60, 3))
    y = x @ rng.normal(size=(20, 3)) + 3 * noise + 7
    layer = Ridge(20, 3)
    layer.fit(torch.from_numpy(x).float(), torch.from_numpy(y).float())

    def left_out(alpha: float) -> float:
        errors = []
        for i in range(60):
            rest = np.arange(60) != i
            errors.append(y[i] - Reference(alpha).fit(x[rest], y[rest]).predict(x[i : i + 1])[0])
        return float(np.square(errors).mean())

    grid = np.logspace(-3, 4, 15) * x.var(axis=0).sum()
    best = Reference(grid[np.argmin([left_out(a) for a in grid])]).fit(x, y)
    np.testing.assert_allclose(layer.weight.T, best.coef_, atol=1e-4)
    np.testing.assert_allclose(layer(torch.from_numpy(x).float()), best.predict(x), atol=1e-3)


def test_missing_values_stand_at_the_mean_of_their_feature() -> None:
    x, _ = _spiked()
    holes = x.clone()
    holes[::3, 1] = holes[:, 2] = float("nan")
    each, whole = Standardise(40, per_feature=True), Standardise(40, per_feature=False)
    each.fit(holes)
    whole.fit(holes)
    known, rest = holes[~holes[:, 1].isnan(), 1].double(), [k for k in range(40) if k != 2]
    assert float(each.mean[1]) == pytest.approx(float(known.mean()))
    assert float(each.scale[1]) == pytest.approx(float(known.std(correction=0)))
    assert float(whole.scale[0]) == pytest.approx(np.sqrt(np.nanvar(holes[:, rest].double().numpy(), axis=0).mean()))
    for layer in (each, whole):
        assert (layer(holes)[::3, 1] == 0).all()
        assert (layer(holes)[:, 2] == 0).all()
        assert (layer(x)[:, 2] == 0).all()  # nothing was learned of it
