"""Noise that belongs to an item: what one series draws does not depend on the batch it is in.

Legend: B rows (items x paths, item by item), S paths per item.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def normal(generators: Sequence[torch.Generator], like_B: Tensor, *shape: int) -> Tensor:
    """Draw standard normal noise [B, *shape], each item's rows from that item's own generator.

    Parameters
    ----------
    generators : sequence of torch.Generator
        One CPU generator per item; the draw is made on the CPU so that a device does not change it.
    like_B : Tensor
        A tensor whose first axis has B rows, a multiple of the number of generators; gives the device.
    shape : int
        Shape of one row's noise.

    Raises
    ------
    ValueError
        If the rows do not divide among the generators.
    """
    return _draw(torch.randn, generators, like_B, shape)


def uniform(generators: Sequence[torch.Generator], like_B: Tensor, *shape: int) -> Tensor:
    """Draw noise uniform on [0, 1) of shape [B, *shape]; arguments as for `normal`."""
    return _draw(torch.rand, generators, like_B, shape)


def _draw(
    source: Callable[..., Tensor], generators: Sequence[torch.Generator], like_B: Tensor, shape: tuple[int, ...]
) -> Tensor:
    rows = like_B.shape[0]
    if not generators or rows % len(generators):
        raise ValueError(f"{rows} rows cannot be shared among {len(generators)} generators: expected a multiple")
    paths = rows // len(generators)
    return torch.cat([source(paths, *shape, generator=g) for g in generators]).to(like_B.device)


def like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw standard normal noise of the shape of `x` in float32, from `generator` or torch's default one."""
    if generator is None:
        return torch.randn(x.shape, device=x.device)
    return torch.randn(x.shape, generator=generator, device=generator.device).to(x.device)


def times(count: int, like_RBN: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Draw `count` times spread evenly over (0, 1), [count, 1], and which of them each token has, indices [R, B, N].

    Tokens share a few times because a network's map of the time then runs once a time instead of once a token.
    """
    device = like_RBN.device if generator is None else generator.device
    shift = torch.rand(1, generator=generator, device=device)
    index_RBN = torch.randint(count, like_RBN.shape, generator=generator, device=device)
    time_K1 = (torch.arange(count, device=device)[:, None] + shift) / count
    return time_K1.clamp(1e-4, 1 - 1e-4).to(like_RBN.device), index_RBN.to(like_RBN.device)
