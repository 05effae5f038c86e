"""The core over every mixer and feed-forward found, its masks, its cache, and what each mixer promises by itself."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.batteries import WIDTH, close, core_battery, every_part, rng, row_of_tokens
from tsar.nn.core import Cache, CoreConfig, Sight, sight
from tsar.nn.ffn.moe import MoE
from tsar.nn.masks import MASKS
from tsar.nn.mixers.companion import Companion
from tsar.nn.mixers.linear import CHUNK, Linear
from tsar.nn.mixers.softmax import SHORT, Softmax, rotate
from tsar.tokens import Coordinates

CONFIGS = {
    **{f"mixer {name}": CoreConfig(width=WIDTH, depth=2, mixer=name) for name in every_part("nn.mixers")},
    **{f"ffn {name}": CoreConfig(width=WIDTH, depth=2, ffn=name) for name in every_part("nn.ffn")},
    "grouped": CoreConfig(width=WIDTH, depth=2, mixer=Softmax(heads=4, kv_heads=2)),
    "bare": CoreConfig(width=WIDTH, depth=2, mixer=Softmax(qk_norm=False, rotary=False, variate_bias=True)),
    "span": CoreConfig(width=WIDTH, depth=2, span=9),
    "span by variate": CoreConfig(width=WIDTH, depth=2, span=9, mixer=Softmax(variate_bias=True)),
    "bidirectional": CoreConfig(width=WIDTH, depth=2, mask="bidirectional"),
    "linear both ways": CoreConfig(width=WIDTH, depth=2, mask="bidirectional", mixer="linear"),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_battery(config: CoreConfig) -> None:
    core_battery(config)


def grid(segment: list[int] | None = None) -> Coordinates:
    """Three times of two variates, time by time."""
    time = torch.tensor([[0, 0, 1, 1, 2, 2]])
    return Coordinates(
        time,
        torch.tensor([[0, 1, 0, 1, 0, 1]]),
        torch.ones(1, 6, dtype=torch.bool),
        None if segment is None else torch.tensor([segment]),
    )


def expected(mask: str) -> torch.Tensor:
    """The same masks, written down by hand: rows are queries."""
    tables = {
        "causal": "110000 110000 111100 111100 111111 111111",
        "variate_causal": "100000 110000 101000 111100 101010 111111",
        "bidirectional": "111111 111111 111111 111111 111111 111111",
        "prefix": "111000 111000 111100 111100 111111 111111",
        "segment": "111000 111000 111000 000111 000111 000111",
        "block": "111000 111000 111000 111111 111111 111111",
        "denoise": "110000 110000 111000 110100 111010 111001",
    }
    return torch.tensor([[int(cell) for cell in row] for row in tables[mask].split()], dtype=torch.bool)


@pytest.mark.parametrize("mask", MASKS)
def test_masks(mask: str) -> None:
    at = grid([0, 0, 0, 1, 1, 1])
    see = sight(mask, None, at, at).see_BNM
    assert torch.equal(torch.ones(6, 6, dtype=torch.bool) if see is None else see[0], expected(mask))


@pytest.mark.parametrize("mask", MASKS)
def test_gradients_flow_only_where_the_mask_lets_them(mask: str) -> None:
    core = CoreConfig(width=WIDTH, depth=1, mask=mask).build()
    x_BND = torch.randn(1, 6, WIDTH, generator=rng(), requires_grad=True)
    h_BND = core(x_BND, grid([0, 0, 0, 1, 1, 1]))
    probe_D = torch.randn(WIDTH, generator=rng(1))  # the plain sum of a normalised vector is always 0
    rows = [
        torch.autograd.grad(h_BND[0, n] @ probe_D, x_BND, retain_graph=True)[0][0].norm(dim=-1) > 0 for n in range(6)
    ]
    assert torch.equal(torch.stack(rows), expected(mask))


def test_invalid_tokens_are_seen_by_themselves_only() -> None:
    at = grid()._replace(valid_BN=torch.tensor([[True, True, False, True, True, True]]))
    see = sight("causal", None, at, at).see_BNM
    assert see is not None and see[0, :, 2].tolist() == [False, False, True, False, False, False]


def test_masks_by_segment_need_segments() -> None:
    with pytest.raises(ValueError, match="expected coordinates with segment_BN"):
        sight("prefix", None, grid(), grid())


def test_fused_and_plain_attention_agree() -> None:
    mixer = Softmax(heads=4, kv_heads=2, variate_bias=True).build(WIDTH, "causal")
    with torch.no_grad():
        mixer.bias_H2.normal_(generator=rng())
    x_BND, at = row_of_tokens(N=SHORT + 10)
    at = at._replace(variate_BN=(at.time_BN % 3 == 0).long())
    whole = sight("causal", None, at, at)
    with torch.no_grad():
        long = mixer(x_BND, mixer.share(at, at, whole), 0)[:, :40]
        at = at.each(lambda part: part[:, :40])
        short = mixer(x_BND[:, :40], mixer.share(at, at, Sight(whole.see_BNM[:, :40, :40])), 0)
    assert close(short, long)


def test_the_fused_triangle_is_the_causal_mask() -> None:
    mixer = Softmax(heads=4).build(WIDTH, "causal")
    x_BND, at = row_of_tokens(N=SHORT + 10)
    x_BND, at = x_BND[2:], at.each(lambda part: part[2:])  # without the gaps
    whole = sight("causal", None, at, at)
    assert whole.triangle and sight("causal", 74, at, at).triangle and not sight("causal", 73, at, at).triangle
    assert not sight("causal", None, grid(), grid()).triangle  # two variates share a time
    with torch.no_grad():
        fused, plain = (mixer(x_BND, mixer.share(at, at, s), 0) for s in (whole, Sight(whole.see_BNM)))
    assert close(fused, plain)


def test_a_span_reads_no_key_beyond_it() -> None:
    _, at = row_of_tokens()
    near = sight("causal", 9, at.each(lambda part: part[:, 78:]), at)
    assert near.first == 78 - 8 and near.see_BNM is not None and near.see_BNM.shape == (4, 2, 10)


def test_rotary_positions_are_relative() -> None:
    core = CoreConfig(width=WIDTH, depth=2).build().eval()
    x_BND, at = row_of_tokens()
    with torch.no_grad():
        assert close(core(x_BND, at._replace(time_BN=at.time_BN + 1000)), core(x_BND, at), 1e-4)


def test_rotation_is_a_rotation_of_neighbouring_pairs() -> None:
    x_BNXd, angle_BN1c = torch.randn(2, 5, 3, 8, generator=rng()), torch.randn(2, 5, 1, 4, generator=rng(1))
    a, b, cos, sin = x_BNXd[..., 0::2], x_BNXd[..., 1::2], angle_BN1c.cos(), angle_BN1c.sin()
    turned = rotate(x_BNXd, torch.stack([cos, sin], -1))
    assert close(turned[..., 0::2], a * cos - b * sin) and close(turned[..., 1::2], b * cos + a * sin)


def test_linear_attention_equals_its_definition() -> None:
    mixer = Linear(heads=2).build(WIDTH, "causal")
    N, d = CHUNK + 9, WIDTH // 2
    q, k, v = torch.randn(3, 1, 2, N, d, generator=rng()).abs()
    a_H11 = mixer.decay_logit_H.sigmoid()[:, None, None]
    gap = torch.arange(N)[:, None] - torch.arange(N)
    weights = (q @ k.transpose(-1, -2)) * torch.where(gap >= 0, a_H11 ** gap.clamp(min=0), 0.0)
    y, _ = mixer.scan(q, k, v, torch.zeros(1, 2, d, d))
    assert close(y, weights @ v)


def test_companion_expresses_an_autoregression() -> None:
    """With a = 0, b = e_1, c = the coefficients, the output at n is the AR(3) forecast of step n + 1."""
    mixer = Companion(order=3).build(2, "causal")
    c = torch.tensor([[0.5, -0.3, 0.2], [1.2, 0.0, -0.4]])
    u_BDN = torch.randn(1, 2, 50, generator=rng())
    with torch.no_grad():
        mixer.a_Dp.zero_()
        mixer.c_Dp.copy_(c)
        y_BDN, _ = mixer.convolve(u_BDN, torch.zeros(1, 2, 3), fresh=True)
    lagged = F.pad(u_BDN, (2, 0)).unfold(-1, 3, 1).flip(-1)
    assert close(y_BDN, (lagged * c[:, None]).sum(-1))


def test_companion_recurrence_equals_its_convolution_and_does_not_grow() -> None:
    mixer = Companion(order=5).build(3, "causal")
    with torch.no_grad():
        for parameter in (mixer.a_Dp, mixer.b_Dp, mixer.c_Dp):
            parameter.normal_(generator=rng())
        u_BDN, x_BDp = torch.randn(2, 3, 2000, generator=rng(1)), torch.randn(2, 3, 5, generator=rng(2))
        (y, end), (z, last) = mixer.convolve(u_BDN, x_BDp), mixer.steps(u_BDN, x_BDp)
        silence, _ = mixer.steps(torch.zeros(2, 3, 2000), x_BDp)
    assert close(y, z) and close(end, last)
    assert silence[..., -100:].abs().max() <= silence[..., :100].abs().max()


def test_routing_is_reported_and_its_loss_balances() -> None:
    moe = MoE(experts=4, active=1, shared=0).build(WIDTH)
    x_BND = torch.randn(8, 32, WIDTH, generator=rng()) + 2 * torch.randn(WIDTH, generator=rng(1))
    optimizer, stats = torch.optim.Adam(moe.router.parameters(), lr=1e-2), []
    for _ in range(150):
        moe(x_BND, stats)
        optimizer.zero_grad()
        stats[-1].balance.backward()
        optimizer.step()
    first, last = stats[0], stats[-1]
    assert float(last.load_E.sum()) == pytest.approx(1) and len(last.load_E) == 4
    assert first.load_E.max() > 0.4 and last.load_E.max() < 0.3
    assert first.balance.item() > last.balance.item() > 0.99


def test_the_cache_says_what_it_cannot_do() -> None:
    x_BND, at = row_of_tokens(N=12)
    with torch.no_grad():
        core = CoreConfig(width=WIDTH, depth=2).build().eval()
        cache = Cache()
        full = core(x_BND, at, cache)
        cache.truncate(7)
        again = core(x_BND[:, 7:], at.each(lambda part: part[:, 7:]), cache)
        assert close(again, full[:, 7:])
        with pytest.raises(ValueError, match="cache of 12 tokens: expected a length up to that, found 13"):
            cache.truncate(13)
        recurrent = Cache()
        CoreConfig(width=WIDTH, depth=2, mixer="linear").build()(x_BND, at, recurrent)
        with pytest.raises(ValueError, match="take a snapshot"):
            recurrent.truncate(5)
        with pytest.raises(ValueError, match="expected no cache"):
            CoreConfig(width=WIDTH, depth=2, mask="bidirectional").build()(x_BND, at, Cache())


@pytest.mark.parametrize(
    "options",
    [
        {"mask": "casual"},
        {"mixer": "softmaxx"},
        {"widht": 8},
        {"width": 0},
        {"dropout": 1.0},
        {"span": 0},
        {"span": 4, "mixer": "linear"},
        {"mixer": {"part": "softmax", "heads": 3, "kv_heads": 2}},
        {"ffn": {"part": "moe", "experts": 2, "active": 3}},
    ],
)
def test_impossible_cores_are_refused(options: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        CoreConfig(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("mixer", [Softmax(heads=5), Softmax(heads=32), Linear(heads=5)])
def test_heads_must_divide_the_width(mixer: object) -> None:
    with pytest.raises(ValueError, match="must split"):
        CoreConfig(width=WIDTH, mixer=mixer).build()
