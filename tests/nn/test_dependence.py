"""The chain against the dense Gaussian it stands for."""

from __future__ import annotations

import torch

from tsar.nn.dependence import Chain, gradient_only


def dense(chain: Chain, width: int) -> torch.Tensor:
    place = torch.arange(width)
    return chain.rho() ** (place[:, None] - place).abs()


def test_noise_gets_the_chain_correlation():
    chain = Chain()
    factor = chain(torch.eye(6)).T  # rows of the identity give the columns of the factor
    torch.testing.assert_close(factor @ factor.T, dense(chain, 6))


def test_density_of_any_seen_values_is_the_dense_gaussian():
    chain, generator = Chain(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        chain.raw.fill_(-0.12)  # negative correlation: odd gaps change its sign
    z_BNP = torch.randn(5, 3, 6, generator=generator)
    seen_BNP = torch.rand(5, 3, 6, generator=generator) < 0.6
    seen_BNP[0, 0] = False
    found_BN = chain.log_copula(z_BNP, seen_BNP)
    for b in range(5):
        for n in range(3):
            seen = seen_BNP[b, n]
            z = z_BNP[b, n, seen]
            expected = torch.zeros(())
            if len(z):
                joint = torch.distributions.MultivariateNormal(torch.zeros(len(z)), dense(chain, 6)[seen][:, seen])
                expected = joint.log_prob(z) - torch.distributions.Normal(0.0, 1.0).log_prob(z).sum()
            torch.testing.assert_close(found_BN[b, n], expected, rtol=1e-4, atol=1e-4)
    found_BN.sum().backward()
    assert chain.raw.grad.isfinite()


def test_gradient_only_has_no_value():
    x = torch.tensor(3.0, requires_grad=True)
    term = gradient_only(x**2)
    term.backward()
    assert term.item() == 0 and x.grad.item() == 6
