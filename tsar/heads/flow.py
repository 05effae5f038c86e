"""The flow head: a small network carries noise along straight lines to the next token.

Flow matching (Lipman et al. 2023; rectified flow, Liu et al. 2023) on one token at a time, conditioned on the hidden
state as in NextStep-1 and xAR. With noise e and token y, y_t = (1 - t) e + t y; the network learns the velocity y - e.

Legend: B rows, N tokens, P token width, D core width, R repeats of a token within the loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tsar.nn import noise
from tsar.nn.adaln import AdaLN
from tsar.nn.denoiser import Denoiser
from tsar.part import Part

PREDICTIONS = ("velocity", "x")
SOLVERS = ("midpoint", "heun", "euler")
TIMES = 64  # distinct times in one call of the loss
NEAR_END = 0.05  # velocity = (y - y_t) / (1 - t) is bounded by this when the network predicts y


@dataclass(frozen=True, kw_only=True)
class Flow(Part):
    """Config of the flow head.

    Parameters
    ----------
    steps : int
        Solver steps of a sample; the second-order methods evaluate the network twice a step (Heun's not in the last).
    solver : {"midpoint", "heun", "euler"}
        How the steps are taken.
    prediction : {"velocity", "x"}
        What the network outputs; the loss is that of the velocity either way.
    hidden, depth : int
        Width and residual layers of the network.
    repeats : int
        Noise levels drawn for every token in the loss.
    base : bool
        Whether the flow models the residual of a linear base; see `tsar.nn.denoiser`.
    """

    steps: int = 4
    solver: str = "midpoint"
    prediction: str = "velocity"
    hidden: int = 128
    depth: int = 3
    repeats: int = 1
    base: bool = True

    def __post_init__(self) -> None:
        for option in ("steps", "hidden", "depth", "repeats"):
            if getattr(self, option) < 1:
                raise ValueError(f"Flow: {option} must be at least 1, found {getattr(self, option)}")
        if self.solver not in SOLVERS:
            raise ValueError(f"Flow: solver must be one of {', '.join(SOLVERS)}, found {self.solver!r}")
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"Flow: prediction must be one of {', '.join(PREDICTIONS)}, found {self.prediction!r}")

    def build(self, width: int, token_width: int) -> FlowHead:
        """Return the head for hidden states of `width` and tokens of `token_width` values."""
        return FlowHead(self, width, token_width)


class FlowHead(Denoiser):
    """A velocity field over tokens, conditioned on the hidden state."""

    def __init__(self, config: Flow, width: int, token_width: int) -> None:
        super().__init__(width, token_width, base=config.base)
        self.config = config
        self.net = AdaLN(width, token_width, config.hidden, config.depth)

    def _velocity(self, y: Tensor, seen: Tensor | None, t: Tensor, modulation: Tensor) -> Tensor:
        out = self.net(y, seen, modulation)
        return out if self.config.prediction == "velocity" else (out - y) / (1 - t).clamp(min=NEAR_END)

    def denoising_loss(
        self, h_BND: Tensor, y_BNP: Tensor, seen_BNP: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return the squared error of the velocity at random times, [B, N, P]."""
        y_RBNP = y_BNP.expand(self.config.repeats, *y_BNP.shape)
        e_RBNP = noise.like(y_RBNP, generator)
        t_K1, index_RBN = noise.times(TIMES, y_RBNP[..., 0], generator)
        t_RBN1 = t_K1[index_RBN]
        at_RBNP = (1 - t_RBN1) * e_RBNP + t_RBN1 * y_RBNP
        modulation_RBNM = self.net.condition(h_BND) + self.net.level(t_K1)[index_RBN]
        velocity_RBNP = self._velocity(at_RBNP, seen_BNP, t_RBN1, modulation_RBNM)
        return (velocity_RBNP - (y_RBNP - e_RBNP)).square().mean(0)

    def denoise(self, z_BRP: Tensor, h_BD: Tensor) -> Tensor:
        """Solve the flow from t = 0 to 1 in `steps` steps."""
        y_BP, condition_BM = z_BRP[:, 0], self.net.condition(h_BD)
        time_K1 = torch.linspace(0, 1, 2 * self.config.steps + 1, device=h_BD.device)[:, None]  # steps and middles
        level_KM = self.net.level(time_K1)

        def velocity(y_BP: Tensor, k: int) -> Tensor:
            return self._velocity(y_BP, None, time_K1[k], condition_BM + level_KM[k])

        step, solver = 1 / self.config.steps, self.config.solver
        for k in range(0, 2 * self.config.steps, 2):
            slope_BP = velocity(y_BP, k)
            if solver == "midpoint":
                slope_BP = velocity(y_BP + step / 2 * slope_BP, k + 1)
            elif solver == "heun" and k + 2 < 2 * self.config.steps:
                slope_BP = (slope_BP + velocity(y_BP + step * slope_BP, k + 2)) / 2
            y_BP = y_BP + step * slope_BP
        return y_BP
