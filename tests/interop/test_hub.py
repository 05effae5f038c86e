"""The hub door, against a folder that stands for the hub and huggingface_hub's offline mode."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest

import tsar
from tsar.interop import hub

COMMITS = ("a" * 40, "b" * 40)
SERIES = [np.sin(np.arange(90.0) / 3), np.arange(60.0)]


@pytest.fixture
def local_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub whose repositories are the folders of huggingface_hub's own cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def upload(self: Any, *, repo_id: str, folder_path: str, revision: str | None, **_: Any) -> SimpleNamespace:
        repository = tmp_path / f"models--{repo_id.replace('/', '--')}"
        commit = COMMITS[len(list(repository.glob("snapshots/*")))]
        shutil.copytree(folder_path, repository / "snapshots" / commit)
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / (revision or "main")).write_text(commit)
        return SimpleNamespace(oid=commit)

    done: Callable[..., None] = lambda *_, **__: None  # noqa: E731
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", done)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_branch", done)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload)
    return tmp_path


def fitted(seed: int) -> tsar.NeuralForecaster:
    return tsar.NeuralForecaster(context=64, width=16, depth=1, max_steps=2, random_state=seed).fit(SERIES)


def test_weights_go_up_and_come_back_by_branch_and_commit(local_hub: Path) -> None:
    first, second = fitted(0), fitted(1)
    commit = hub.push_to_hub(first, "someone/model")
    assert hub.push_to_hub(second, "someone/model", revision="better") == COMMITS[1]
    for revision, model in ((None, first), (commit, first), ("better", second)):
        back = tsar.from_pretrained("someone/model", revision=revision)
        np.testing.assert_allclose(back.predict(8, SERIES).mean, model.predict(8).mean, rtol=1e-6)
    names = {path.name for path in local_hub.rglob("*.*") if path.is_file()}
    assert names == {"config.json", "model.safetensors", "README.md"}


def test_the_series_stay_at_home(local_hub: Path) -> None:
    hub.push_to_hub(fitted(0), "someone/model")
    with pytest.raises(TypeError, match="found AR: save"):
        hub.push_to_hub(tsar.AR(lags=1).fit(SERIES), "someone/model")
    weights = next(local_hub.rglob("model.safetensors")).read_bytes()
    assert b"history" not in weights


def test_zero_shot_weights_too(local_hub: Path) -> None:
    model = tsar.from_pretrained("tsar-small")
    hub.push_to_hub(model, "someone/small")
    back = tsar.from_pretrained("someone/small")
    np.testing.assert_allclose(back.predict(8, SERIES).mean, model.predict(8, SERIES).mean, rtol=1e-6)


def test_clear_words_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match="'nobody/nothing' at revision 'v1' is not in the local cache"):
        tsar.from_pretrained("nobody/nothing", revision="v1")
    with pytest.raises(ConnectionError, match="cannot be uploaded, the hub cannot be reached"):
        hub.push_to_hub(fitted(0), "nobody/nothing")
