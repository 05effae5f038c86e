"""Every family: finite, seeded, of the asked shape, and seasonal where it is told a season."""

import numpy as np
import pytest

from tsar.synthetic import FAMILIES, generate


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("length, period, longer", [(16, 1, 1), (300, 24, 168), (60, 4, 1)])
def test_draws_are_finite_and_seeded(family, length, period, longer):
    one = generate(family, 20, length, period, longer, random_state=3)
    assert one.shape == (20, length) and np.isfinite(one).all()
    assert (one == generate(family, 20, length, period, longer, random_state=3)).all()
    other = generate(family, 20, length, period, longer, random_state=4)
    assert (one != other).any(1).sum() >= 15
    assert (one.std(1) > 0).mean() > 0.7


def test_calendar_repeats_its_day():
    y = generate("calendar", 30, 24 * 40, 24, 168)
    days = y.reshape(30, 40, 24)
    between = days.mean(1).std(1)
    within = (days - days.mean(1, keepdims=True)).std((1, 2))
    assert np.median(between / within) > 0.5


def test_unknown_family_and_bad_period():
    with pytest.raises(ValueError, match="unknown family 'kernel'"):
        generate("kernel", 1, 10, 4)
    with pytest.raises(ValueError, match="expected at least 1"):
        generate("kernels", 1, 10, 0)
