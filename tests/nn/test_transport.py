"""Quantiles of draws and the fixed noise they come from."""

from __future__ import annotations

import torch

from tsar.nn.transport import even_noise, quantiles_of_draws


def test_even_noise_is_fixed_and_evenly_spread():
    z = even_noise(128, 1, 3)
    assert torch.equal(z, even_noise(128, 1, 3))
    levels = torch.special.ndtr(z.double()).sort(0).values
    torch.testing.assert_close(levels[:, 0, 0], (torch.arange(128.0, dtype=torch.float64) + 0.5) / 128)
    assert torch.corrcoef(z[:, 0].T)[0, 1].abs() < 0.3


def test_quantiles_of_draws_follow_the_normal_into_the_tails():
    levels = torch.tensor([0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
    x = quantiles_of_draws(even_noise(128, 1)[None], levels)[0, 0]
    truth = torch.special.ndtri(levels)
    assert (x.diff() > 0).all()
    torch.testing.assert_close(x[2:5], truth[2:5], rtol=0, atol=0.02)
    assert ((x - truth).abs() < torch.tensor([0.5, 0.2, 1, 1, 1, 0.2, 0.5])).all()
