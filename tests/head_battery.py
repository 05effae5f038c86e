"""What every head must do, whatever its distribution; a new head is tested by being a file of `tsar/heads`.

Legend: B rows, N tokens, P token width, D core width, S paths per item, Q levels.
"""

from __future__ import annotations

import copy
import json

import torch
from torch import Tensor

from tsar.nn.head import Head
from tsar.part import Part, resolve

WIDTH = 8
LEVELS = [0.001, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.999]


def build(config: Part, token_width: int) -> Head:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return config.build(WIDTH, token_width)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def hidden(rows: int, seed: int = 0) -> Tensor:
    """Bounded hidden states, as a normalised core gives."""
    return torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(seed))


def train(head: Head, draw: object, steps: int, lr: float = 1e-2, rows: int = 256) -> Head:
    """Fit `head` to tokens drawn by `draw(h_BD, generator)`; the learning rate falls to zero."""
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(head.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        h_BD = torch.randn(rows, WIDTH, generator=generator)
        x_BP = draw(h_BD, generator)
        loss = head.loss(h_BD[None], x_BP[None], torch.ones_like(x_BP[None], dtype=torch.bool), generator).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return head.eval()


def head_battery(config: Part) -> None:
    """Run every check that needs no training on a head of `config`, for tokens of one and of four values."""
    assert resolve("heads", json.loads(json.dumps(config.to_dict()))) == config
    for token_width in (1, 4):
        head = build(config, token_width)
        with torch.no_grad():  # an untrained head may be a constant: make every parameter matter
            for index, parameter in enumerate(head.parameters()):
                draw = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index))
                parameter += 0.05 * draw
        check_loss(head, token_width)
        head.eval()
        with torch.no_grad():
            check_sampling(head, token_width)
            check_quantiles(head, token_width)
            check_bf16(head, token_width)


def check_loss(head: Head, token_width: int) -> None:
    """Unreduced, finite, blind to what was not seen (even NaN there), zero where nothing was, differentiable."""
    h_BND = hidden(12).view(3, 4, WIDTH).requires_grad_()
    x_BNP = torch.randn(3, 4, token_width, generator=generators(3)[0])
    seen_BNP = torch.rand(3, 4, token_width, generator=generators(4)[0]) < 0.6
    seen_BNP[0, 0], seen_BNP[0, 1] = False, True
    loss_BN = head.loss(h_BND, x_BNP, seen_BNP, generators(5)[0])
    assert loss_BN.shape == (3, 4) and loss_BN.dtype == torch.float32 and loss_BN.isfinite().all()
    assert (loss_BN[~seen_BNP.any(-1)] == 0).all() and loss_BN[0, 1] != 0
    for rubbish in (1e6, float("nan")):
        other_BN = head.loss(h_BND, x_BNP.masked_fill(~seen_BNP, rubbish), seen_BNP, generators(5)[0])
        torch.testing.assert_close(other_BN, loss_BN, rtol=0, atol=0)
    other_BN.sum().backward()
    assert h_BND.grad is not None and h_BND.grad.isfinite().all() and h_BND.grad.abs().sum() > 0
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    state = torch.get_rng_state()
    head.loss(h_BND, x_BNP, seen_BNP, generators(5)[0])
    head.sample(h_BND[0].detach(), generators(0, 1))
    head.quantiles(h_BND[0].detach(), [0.1, 0.9])
    assert torch.equal(state, torch.get_rng_state()), "the head drew from torch's global generator"


def check_sampling(head: Head, token_width: int) -> None:
    """Equal generators give equal paths; an item's paths are its own, alone or beside others, in any order."""
    paths, seeds = 5, [7, 8, 9]
    h_BD = hidden(3)
    together_SP = head.sample(h_BD.repeat_interleave(paths, 0), generators(*seeds)).unflatten(0, (3, paths))
    assert together_SP.shape == (3, paths, token_width) and together_SP.isfinite().all()
    again_SP = head.sample(h_BD.repeat_interleave(paths, 0), generators(*seeds)).unflatten(0, (3, paths))
    assert torch.equal(together_SP, again_SP)
    for item in range(3):
        alone_SP = head.sample(h_BD[item : item + 1].repeat(paths, 1), generators(seeds[item]))
        torch.testing.assert_close(alone_SP, together_SP[item], rtol=1e-5, atol=1e-5)
        mean_P = head.mean(h_BD[item : item + 1])[0]
        torch.testing.assert_close(mean_P, head.mean(h_BD)[item], rtol=1e-5, atol=1e-5)
        alone_PQ = head.quantiles(h_BD[item : item + 1], LEVELS)[0]
        together_PQ = head.quantiles(h_BD, LEVELS)[item]
        torch.testing.assert_close(alone_PQ[:, 1:-1], together_PQ[:, 1:-1], rtol=1e-5, atol=1e-5)
        # one in a thousand lies where the density is small, which magnifies the rounding of the hidden state's product
        torch.testing.assert_close(alone_PQ, together_PQ, rtol=1e-4, atol=1e-4)
    assert head.spread == (together_SP.std(1).min().item() > 0)


def check_quantiles(head: Head, token_width: int) -> None:
    """Ascending, with tails beyond whatever was trained, whatever the weights."""
    value_BPQ = head.quantiles(hidden(20, seed=2), LEVELS)
    assert value_BPQ.shape == (20, token_width, len(LEVELS)) and value_BPQ.isfinite().all()
    gap = value_BPQ.diff(dim=-1).min().item()
    assert gap > 0 if head.spread else gap == 0


def check_bf16(head: Head, token_width: int) -> None:
    """A bfloat16 head, and autocast, stay finite, answer in float32 and near the float32 head."""
    h_BD = hidden(6)
    x_BP = torch.randn(6, token_width, generator=generators(3)[0])
    seen_BP = torch.ones_like(x_BP, dtype=torch.bool)

    def answers(module: Head) -> list[Tensor]:
        return [
            module.loss(h_BD[None], x_BP[None], seen_BP[None], generators(1)[0]),
            module.mean(h_BD),
            module.quantiles(h_BD, [0.1, 0.5, 0.9]),
            module.sample(h_BD, generators(0, 1, 2)),
        ]

    full = answers(head)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = answers(head)
    low = answers(copy.deepcopy(head).bfloat16())
    for expected, *found in zip(full, cast, low, strict=True):
        for value in found:
            assert value.dtype == torch.float32 and value.isfinite().all()
            assert (value - expected).abs().median() < 0.05 * (1 + expected.abs().median())


def check_gaussian(config: Part, steps: int) -> None:
    """The head recovers mean, quantiles and dependence of a Gaussian whose mean and deviation follow h."""
    rho = 0.8

    def draw(h_BD: Tensor, generator: torch.Generator) -> Tensor:
        e_BP = torch.randn(len(h_BD), 2, generator=generator)
        z_BP = torch.stack([e_BP[:, 0], rho * e_BP[:, 0] + (1 - rho**2) ** 0.5 * e_BP[:, 1]], -1)
        return h_BD[:, :2] + (0.5 + 0.25 * torch.tanh(h_BD[:, 2:3])) * z_BP

    head = train(build(config, 2), draw, steps)
    with torch.no_grad():
        h_BD = 0.7 * hidden(32, seed=5)
        deviation_BP = (0.5 + 0.25 * torch.tanh(h_BD[:, 2:3])).expand(-1, 2)
        assert ((head.mean(h_BD) - h_BD[:, :2]) / deviation_BP).abs().mean() < 0.15
        if not head.spread:
            return
        levels = torch.tensor(LEVELS[1:-1])
        truth_BPQ = h_BD[:, :2, None] + deviation_BP[..., None] * torch.special.ndtri(levels)
        error_BPQ = (head.quantiles(h_BD, levels.tolist()) - truth_BPQ) / deviation_BP[..., None]
        assert error_BPQ.abs().mean() < 0.2, error_BPQ.abs().mean()
        x_BSP = head.sample(h_BD.repeat_interleave(250, 0), generators(*range(32))).unflatten(0, (32, 250))
        z_BSP = (x_BSP - h_BD[:, None, :2]) / deviation_BP[:, None]
        coverage = (z_BSP.abs() < 1.2816).float().mean().item()
        assert abs(coverage - 0.8) < 0.05, f"an 80% interval holds {coverage:.3f} of the draws"
        correlation = torch.corrcoef(z_BSP.flatten(0, 1).T)[0, 1].item()
        assert abs(correlation - rho) < 0.1, f"correlation {correlation:.3f} within the token, expected {rho}"
        if head.exact:
            x_BP = draw(h_BD, generators(9)[0])
            z_BP = (x_BP - h_BD[:, :2]) / deviation_BP
            e_BP = torch.stack([z_BP[:, 0], (z_BP[:, 1] - rho * z_BP[:, 0]) / (1 - rho**2) ** 0.5], -1)
            truth_B = torch.distributions.Normal(0.0, 1.0).log_prob(e_BP).sum(-1) - deviation_BP.log().sum(-1)
            truth_B = truth_B - 0.5 * torch.tensor(1 - rho**2).log()
            found_B = head.log_prob(h_BD[None], x_BP[None], torch.ones_like(x_BP[None], dtype=torch.bool))[0]
            assert (truth_B - found_B).mean().abs() < 0.25, (truth_B - found_B).mean()


def check_bimodal(config: Part, steps: int) -> None:
    """Tokens near (2, 2) or (-2, -2): both modes are drawn, neither is averaged, the values of a token agree."""

    def draw(h_BD: Tensor, generator: torch.Generator) -> Tensor:
        sign_B1 = torch.randint(0, 2, (len(h_BD), 1), generator=generator) * 2.0 - 1
        return 2 * sign_B1 + 0.3 * torch.randn(len(h_BD), 2, generator=generator)

    head = train(build(config, 2), draw, steps)
    with torch.no_grad():
        x_BP = head.sample(hidden(8).repeat_interleave(200, 0), generators(*range(8)))
    assert 0.4 < (x_BP[:, 0] > 0).float().mean() < 0.6
    near = ((x_BP - 2 * x_BP.sum(-1, keepdim=True).sign()).abs() < 1.0).all(-1).float().mean().item()
    assert near > 0.9, f"{near:.2f} of the tokens lie in a mode"


def check_density(config: Part, token_width: int) -> None:
    """The density of an untrained but perturbed head integrates to one, over a line or a plane."""
    head = build(config, token_width)
    with torch.no_grad():
        for index, parameter in enumerate(head.parameters()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index))
        line = 1.003 ** torch.arange(0, 2205.0) - 1  # dense at 0, to +-740
        edge = torch.cat([-line[1:].flip(0), line]) if token_width == 1 else torch.linspace(-12, 12, 301)
        cell = edge.diff()
        x_NP = torch.cartesian_prod(*[edge[:-1]] * token_width).view(-1, token_width)
        side_NP = torch.cartesian_prod(*[cell] * token_width).view(-1, token_width)
        x_NP = x_NP + side_NP * torch.rand(x_NP.shape, generator=generators(0)[0])  # one random point in every cell
        h_ND = hidden(1, seed=3).expand(len(x_NP), -1)
        log_prob_N = head.log_prob(h_ND[None], x_NP[None], torch.ones_like(x_NP[None], dtype=torch.bool))[0]
        density = (log_prob_N.exp() * side_NP.prod(-1)).sum()
    assert abs(density.item() - 1) < 0.02, f"the density integrates to {density.item():.4f}"
