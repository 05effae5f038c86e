"""The spline is the identity at zero, increasing, invertible, and its slope is its derivative."""

from __future__ import annotations

import torch

from tsar.nn.spline import parameters_of, spline


def test_identity_inverse_and_slope():
    generator = torch.Generator().manual_seed(0)
    x = torch.linspace(-6, 6, 400, dtype=torch.float64)
    raw = 2 * torch.randn(1, parameters_of(6), generator=generator, dtype=torch.float64).expand(400, -1)
    same, flat = spline(x, torch.zeros_like(raw), 4.0, inverse=False)
    torch.testing.assert_close(same, x)
    torch.testing.assert_close(flat, torch.zeros_like(flat))

    x.requires_grad_()
    y, log_slope = spline(x, raw, 4.0, inverse=False)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(log_slope.exp(), slope)
    assert (y.diff() > 0).all() and (y - x).abs().max() > 0.1
    back, log_slope_there = spline(y.detach(), raw, 4.0, inverse=True)
    torch.testing.assert_close(back, x.detach(), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(log_slope_there, log_slope.detach(), rtol=1e-6, atol=1e-6)
