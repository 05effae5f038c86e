"""Windows equal slices of their series, leak nothing across series, and are a pure function of (seed, step)."""

import time

import numpy as np
import pytest

from tsar.windows import Windows, open_arrays, save_arrays

LENGTHS = [30, 7, 120, 3]
OFFSETS = np.concatenate([[0], np.cumsum(LENGTHS)])
VALUES = np.arange(OFFSETS[-1], dtype="f8")[None]


def windows(**options):
    return Windows(VALUES, OFFSETS, **{"context": 16, "horizon": 4, "keys": tuple("abcd")} | options)


def plain(group, end, width):
    """The window read by hand: NaN outside the group."""
    low, high = OFFSETS[group], OFFSETS[group + 1]
    return np.array([VALUES[0, t] if low <= t < high else np.nan for t in range(end - width, end)])


@pytest.mark.parametrize("sampling", ["length", "series"])
def test_windows_are_slices_and_stay_in_their_series(sampling):
    w = windows(sampling=sampling)
    group_B, end_B = w.draw(1500, seed=1, step=0)
    got = w.gather(group_B, end_B)
    for row, g, e, key in zip(got.y_BVL[:, 0].numpy(), group_B, end_B, got.item, strict=True):
        np.testing.assert_array_equal(row, plain(g, e, 20))
        assert key == "abcd"[g]
        assert np.isfinite(row[:16]).any() and np.isfinite(row[16:]).any()
    assert set(group_B) == {0, 1, 2, 3}


def test_sampling_by_series_and_by_length():
    by = {s: np.bincount(windows(sampling=s).draw(4000, 0, 0)[0], minlength=4) / 4000 for s in ("length", "series")}
    counts = np.array([11, 1, 101, 1])
    np.testing.assert_allclose(by["length"], counts / counts.sum(), atol=0.03)
    np.testing.assert_allclose(by["series"], 0.25, atol=0.03)


def test_a_draw_is_a_function_of_seed_and_step():
    a, b = windows().draw(8, 5, 100), windows().draw(8, 5, 100)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, windows().draw(8, 5, 101)) and not np.array_equal(a, windows().draw(8, 6, 100))


def test_split_holds_out_targets_not_contexts():
    left, right = windows().split(12)
    for side, part in (("left", left), ("right", right)):
        for g, e in zip(*part.grid(), strict=True):
            assert (e <= OFFSETS[g + 1] - 12) if side == "left" else (e - 4 >= OFFSETS[g + 1] - 12)
    pairs = lambda w: set(zip(*map(list, w.grid()), strict=True))  # noqa: E731
    straddle = {(g, e) for g, e in pairs(windows()) if -12 < e - OFFSETS[g + 1] < 4 - 12}
    assert straddle and pairs(left) | pairs(right) == pairs(windows()) - straddle
    with pytest.raises(ValueError, match="hold out 200 steps.*120 steps"):
        windows().split(200)


def test_grid_counts_every_window_once_or_spreads():
    group_B, end_B = windows().grid()
    assert len(group_B) == len(windows()) == len(set(zip(group_B, end_B, strict=True)))
    assert len(windows().grid(10)[0]) == 10 and set(windows().grid(60)[0]) >= {0, 2}


def test_memory_mapped_arrays_give_the_same_windows(tmp_path):
    extra = {
        "known_KT": VALUES * 2,
        "static_GF": np.eye(4),
        "season_G": np.array([24, 7, 12, 1]),
        "keys": tuple("abcd"),
    }
    save_arrays(tmp_path, VALUES, OFFSETS, **extra)
    mapped = Windows(**open_arrays(tmp_path), context=16, horizon=4)
    assert isinstance(mapped.values_VT, np.memmap)
    inside = Windows(VALUES, OFFSETS, context=16, horizon=4, **extra)
    for a, b in zip(mapped.batch(9, 0, 3), inside.batch(9, 0, 3), strict=True):
        if a is not None and not isinstance(a, tuple):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_joint_windows_keep_variates_together():
    y_VT = np.stack([np.arange(50.0), np.arange(50.0) + 1000])
    batch = Windows(y_VT, np.array([0, 50]), context=8, horizon=2).batch(6, 0, 0)
    assert batch.y_BVL.shape == (6, 2, 10)
    np.testing.assert_array_equal(batch.y_BVL[:, 1] - batch.y_BVL[:, 0], np.full((6, 10), 1000.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"context": 0}, "context"), ({"sampling": "lenght"}, "lenght"), ({"known_KT": np.zeros((1, 3))}, "known")],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        windows(**options)


def test_gathering_is_not_what_a_training_step_waits_for():
    """A guard against copying all windows: 7 x 17,420 steps hold 16 GB of windows, a batch of 32 holds 0.5 MB."""
    y_VT = np.random.default_rng(0).normal(size=(7, 17420))
    w = Windows(y_VT, np.array([0, 17420]), context=512, horizon=96)
    w.batch(32, 0, 0)
    start = time.perf_counter()
    for step in range(20):
        w.batch(32, 0, step)
    assert (time.perf_counter() - start) / 20 < 0.1
