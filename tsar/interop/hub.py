"""The Hugging Face hub: weights out; `tsar.from_pretrained("owner/name", revision=…)` brings them in."""

from __future__ import annotations

import tempfile
from pathlib import Path

from huggingface_hub import HfApi, errors

from tsar.forecasters.base import Forecaster

_CARD = """---
library_name: tsar
tags: [time-series-forecasting]
---
```python
import tsar

model = tsar.from_pretrained("{repo}")
model.predict(24, df)
```
"""


def push_to_hub(
    model: Forecaster, repo: str, *, revision: str | None = None, private: bool | None = None, card: str | None = None
) -> str:
    """Upload the weights of a network, and nothing of the series it was fitted on, as JSON and safetensors.

    Parameters
    ----------
    model : NeuralForecaster or ZeroShotForecaster, fitted or pretrained
    repo : str, "owner/name"; made if it does not exist
    revision : str, optional, branch to upload to
    private : bool, optional, whether a new repository is private
    card : str, optional, text of README.md; default a few lines that say how to load it

    Returns
    -------
    str
        Commit, which `from_pretrained(revision=…)` takes.

    Raises
    ------
    TypeError
        For a classical forecaster: what it has learned are its series, which `save` keeps in a folder of your own.
    ConnectionError
        If the hub cannot be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        _write(model, Path(folder))
        (Path(folder) / "README.md").write_text(card if card is not None else _CARD.format(repo=repo))
        api = HfApi(library_name="tsar")
        try:
            api.create_repo(repo, private=private, exist_ok=True)
            if revision is not None:
                api.create_branch(repo, branch=revision, exist_ok=True)
            done = api.upload_folder(
                repo_id=repo, folder_path=folder, revision=revision, commit_message=f"Upload {type(model).__name__}"
            )
        except (errors.OfflineModeIsEnabled, OSError) as error:
            if isinstance(error, errors.HfHubHTTPError):  # the hub has answered, in words
                raise
            raise ConnectionError(f"{repo!r} cannot be uploaded, the hub cannot be reached: {error}") from error
    return str(done.oid)


def _write(model: Forecaster, folder: Path) -> None:
    from tsar.forecasters.neural import NeuralForecaster
    from tsar.forecasters.zero_shot import ZeroShotForecaster
    from tsar.zero_shot import checkpoint

    if not isinstance(model, NeuralForecaster | ZeroShotForecaster):
        raise TypeError(f"the hub takes weights of networks, found {type(model).__name__}: save(folder) keeps it")
    model._check_fitted(needs_history=False)
    if isinstance(model, ZeroShotForecaster):
        checkpoint.save(model.network_, folder, model.about_.get("training"))
    else:
        model.model_.save_pretrained(folder)
