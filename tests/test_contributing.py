"""CONTRIBUTING.md followed to the letter, in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_recipes_work_as_they_stand(tmp_path: Path) -> None:
    skip = shutil.ignore_patterns("__pycache__", "benchmarks", "*.safetensors")
    for folder in ("tsar", "tests", "datasets"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    files = re.findall(r"```python\n# (tsar/\S+)\n(.*?)```", text, re.S)
    for name, code in files:
        assert not (tmp_path / name).exists(), f"{name} exists already: the recipe shows nothing new"
        (tmp_path / name).write_text(code)
    recipes = [block for block in re.findall(r"```sh\n(.*?)```", text, re.S) if "python -" in block]
    assert len(files) == len(recipes) == 3
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    for recipe in recipes:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", recipe], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{recipe}\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
        assert "no tests ran" not in done.stdout
