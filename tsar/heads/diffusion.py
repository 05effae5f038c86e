"""The diffusion head: a small network removes noise from the next token in a few steps.

The diffusion loss of MAR (Li et al. 2024, "Autoregressive image generation without vector quantization") in continuous
time: y_t = a y + s e with a = cos(pi t / 2), s = sin(pi t / 2), the cosine schedule of Nichol and Dhariwal (2021) in
the form of Salimans and Ho (2022), whose velocity v = a e - s y is a prediction that is well scaled at every t.

Legend: B rows, N tokens, P token width, D core width, R repeats of a token within the loss, or noises of a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tsar.nn import noise
from tsar.nn.adaln import AdaLN
from tsar.nn.denoiser import Denoiser
from tsar.part import Part

PREDICTIONS = ("v", "x", "epsilon")
TIMES = 64  # distinct times in one call of the loss
LAST_TIME = 0.995  # at t = 1 nothing of the token is left, and a prediction of the noise says nothing about it


@dataclass(frozen=True, kw_only=True)
class Diffusion(Part):
    """Config of the diffusion head.

    Parameters
    ----------
    steps : int
        Denoising steps of a sample, two evaluations of the network each with eta 0, else one.
    eta : float
        Fresh noise of each step: 0 follows the flow of probability by the midpoint method, 1 is the ancestral sampler
        of DDPM, between them equation 16 of DDIM (Song et al. 2021).
    prediction : {"v", "x", "epsilon"}
        What the network outputs and what its squared error is taken of.
    hidden, depth : int
        Width and residual layers of the network.
    repeats : int
        Noise levels drawn for every token in the loss (MAR: 4).
    base : bool
        Whether the diffusion models the residual of a linear base; see `tsar.nn.denoiser`.
    """

    steps: int = 4
    eta: float = 0.0
    prediction: str = "v"
    hidden: int = 128
    depth: int = 3
    repeats: int = 1
    base: bool = True

    def __post_init__(self) -> None:
        for option in ("steps", "hidden", "depth", "repeats"):
            if getattr(self, option) < 1:
                raise ValueError(f"Diffusion: {option} must be at least 1, found {getattr(self, option)}")
        if not 0 <= self.eta <= 1:
            raise ValueError(f"Diffusion: eta must lie in [0, 1], found {self.eta}")
        if self.prediction not in PREDICTIONS:
            raise ValueError(
                f"Diffusion: prediction must be one of {', '.join(PREDICTIONS)}, found {self.prediction!r}"
            )

    def build(self, width: int, token_width: int) -> DiffusionHead:
        """Return the head for hidden states of `width` and tokens of `token_width` values."""
        return DiffusionHead(self, width, token_width)


class DiffusionHead(Denoiser):
    """A denoiser of tokens, conditioned on the hidden state."""

    def __init__(self, config: Diffusion, width: int, token_width: int) -> None:
        super().__init__(width, token_width, base=config.base, noises=config.steps if config.eta > 0 else 1)
        self.config = config
        self.net = AdaLN(width, token_width, config.hidden, config.depth)

    def denoising_loss(
        self, h_BND: Tensor, y_BNP: Tensor, seen_BNP: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Return the squared error of the prediction at random times, [B, N, P]."""
        y_RBNP = y_BNP.expand(self.config.repeats, *y_BNP.shape)
        e_RBNP = noise.like(y_RBNP, generator)
        u_K1, index_RBN = noise.times(TIMES, y_RBNP[..., 0], generator)
        t_K1 = LAST_TIME * u_K1
        a_RBN1, s_RBN1 = _schedule(t_K1[index_RBN])
        modulation_RBNM = self.net.condition(h_BND) + self.net.level(t_K1)[index_RBN]
        out_RBNP = self.net(a_RBN1 * y_RBNP + s_RBN1 * e_RBNP, seen_BNP, modulation_RBNM)
        target = {"v": a_RBN1 * e_RBNP - s_RBN1 * y_RBNP, "x": y_RBNP, "epsilon": e_RBNP}[self.config.prediction]
        return (out_RBNP - target).square().mean(0)

    def denoise(self, z_BRP: Tensor, h_BD: Tensor) -> Tensor:
        """Denoise from t = 1 to 0 in `steps` steps."""
        y_BP, condition_BM = z_BRP[:, 0], self.net.condition(h_BD)
        time_K1 = torch.linspace(LAST_TIME, 0, 2 * self.config.steps + 1, device=h_BD.device)[:, None]  # and middles
        level_KM = self.net.level(time_K1)

        def clean_and_noise(y_BP: Tensor, k: int) -> tuple[Tensor, Tensor]:
            return self._split(self.net(y_BP, None, condition_BM + level_KM[k]), y_BP, *_schedule(time_K1[k]))

        for k in range(0, 2 * self.config.steps, 2):
            (a, s), (next_a, next_s) = _schedule(time_K1[k]), _schedule(time_K1[k + 2])
            clean_BP, noise_BP = clean_and_noise(y_BP, k)
            if self.config.eta == 0:  # along the angle the flow of probability is dy / d angle = v
                angle = math.pi / 2 * (time_K1[k + 2] - time_K1[k])
                middle_BP = y_BP + angle / 2 * (a * noise_BP - s * clean_BP)
                clean_BP, noise_BP = clean_and_noise(middle_BP, k + 1)
                middle_a, middle_s = _schedule(time_K1[k + 1])
                y_BP = y_BP + angle * (middle_a * noise_BP - middle_s * clean_BP)
            elif k + 2 == 2 * self.config.steps:
                y_BP = clean_BP
            else:  # DDIM's equation 16: a share of the noise is drawn anew
                fresh = self.config.eta * next_s / s * (1 - (a / next_a).square()).clamp(min=0).sqrt()
                kept = (next_s.square() - fresh.square()).clamp(min=0).sqrt()
                y_BP = next_a * clean_BP + kept * noise_BP + fresh * z_BRP[:, k // 2 + 1]
        return y_BP

    def _split(self, out_BP: Tensor, y_BP: Tensor, a: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Return the clean token and the noise that the network's output stands for."""
        if self.config.prediction == "v":
            return a * y_BP - s * out_BP, s * y_BP + a * out_BP
        if self.config.prediction == "x":
            return out_BP, (y_BP - a * out_BP) / s
        return (y_BP - s * out_BP) / a, out_BP


def _schedule(t: Tensor) -> tuple[Tensor, Tensor]:
    angle = math.pi / 2 * t
    return angle.cos(), angle.sin()
