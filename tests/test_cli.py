"""The command line in its own process' terms: files in and out, one line and code 2 for an error, light to start."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tsar import naming
from tsar.catalog import load_dataset
from tsar.cli import main
from tsar.files import read_table_file, whole_file


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    times = pd.date_range("2022-01-01", periods=60, freq="D")
    return pd.concat([pd.DataFrame({"unique_id": i, "ds": times, "y": rng.normal(5, 1, 60)}) for i in ("a", "b")])


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_forecast_from_file_to_file(table, tmp_path, suffix, capsys):
    source, target = tmp_path / f"in.{suffix}", tmp_path / "new" / f"out.{suffix}"
    (table.to_parquet if suffix == "parquet" else table.to_csv)(source, index=False)
    assert main(["forecast", str(source), "--horizon", "12", "--model", "Naive", "--out", str(target)]) == 0
    out = pd.read_parquet(target) if suffix == "parquet" else pd.read_csv(target)
    assert list(out.columns[:3]) == ["unique_id", "ds", "mean"] and len(out) == 24
    assert out.query("unique_id == 'b'")["0.5"].iloc[0] == pytest.approx(table["y"].iloc[-1])
    said = capsys.readouterr()
    assert said.out == "" and "forecast 2 series" in said.err
    assert [p.name for p in target.parent.iterdir()] == [target.name]


def test_forecast_to_stdout_keeps_named_columns_and_levels(table, tmp_path, capsys):
    path = tmp_path / "sales.csv"
    table.set_axis(["shop", "day", "sold"], axis=1).to_csv(path, index=False, sep=";")
    names = ["--id", "shop", "--time", "day", "--target", "sold"]
    assert main(["forecast", str(path), "--horizon", "2", "--model", "Drift", "--levels", "0.05,0.95", *names]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "shop,day,mean,0.05,0.95" and len(lines) == 5 and lines[1].startswith("a,2022-03-02,")


def test_a_wide_file_and_a_picture(table, tmp_path, capsys):
    path, picture = tmp_path / "wide.csv", tmp_path / "f.png"
    table.pivot(index="ds", columns="unique_id", values="y").reset_index().to_csv(path, index=False)
    options = ["--horizon", "3", "--model", "SeasonalNaive(season_length=7)", "--plot", str(picture)]
    assert main(["forecast", str(path), *options]) == 0
    out = pd.read_csv(pd.io.common.StringIO(capsys.readouterr().out))
    assert len(out) == 6 and out["ds"].iloc[0] == "2022-03-02"
    assert out["mean"].iloc[0] == pytest.approx(table["y"].iloc[53])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_compare_a_named_set(tmp_path, capsys):
    report, board = tmp_path / "report.html", tmp_path / "board.csv"
    argv = ["compare", "macrodata", "--models", "Drift", "Naive", "--windows", "2", "--items", "9"]
    assert main([*argv, "--report", str(report), "--show", "cpi", "--out", str(board)]) == 0
    said = capsys.readouterr()
    assert "SeasonalNaive" in said.out and "verdict" in said.out and f"wrote {report}" in said.err
    assert pd.read_csv(board)["model"].tolist()[0] == "Drift"
    page = report.read_text()
    assert page.startswith("<!doctype html>") and page.count("<figure>") == 1 and "<h3>cpi</h3>" in page


def test_lists(capsys):
    assert main(["datasets", "--kind", "forecasting"]) == 0
    assert "sunspots" in capsys.readouterr().out
    rows = dict(naming.describe())
    assert {"AR", "Theta", "SeasonalNaive"} <= set(rows) and all(rows.values())
    assert main(["models"]) == 0
    assert "SeasonalNaive" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv, message",
    [
        (["forecast", "nothing.csv", "--horizon", "3"], "nothing.csv: no such file"),
        (["forecast", "sun", "--horizon", "3"], "unknown data set 'sun'"),
        (["forecast", "IN", "--horizon", "0", "--model", "Naive"], "horizon"),
        (["forecast", "IN"], "--horizon H is needed"),
        (["forecast", "IN", "--horizon", "x"], "invalid int value"),
        (["forecast", "IN", "--horizon", "3", "--model", "Naif"], "did you mean 'Naive'"),
        (["forecast", "IN", "--horizon", "3", "--model", "Naive(window=3)"], "Naive: unknown option 'window'"),
        (["forecast", "IN", "--horizon", "3", "--model", "Naive(open('x'))"], "unknown model 'open'"),
        (["forecast", "IN", "--horizon", "3", "--model", "Naive", "--levels", "0.5,2"], "between 0 and 1"),
        (["forecast", "IN", "--horizon", "3", "--target", "z"], "expected a column 'z'"),
        (["forecast", "IN", "--horizon", "3", "--model", "Naive", "--out", "x.xls"], "x.xls"),
        (["forecast", "EMPTY", "--horizon", "3"], "EMPTY"),
        (["forecast", "FOREIGN", "--horizon", "3"], "FOREIGN"),
        (["forecast", "digits", "--horizon", "3"], "holds sequences"),
        (["compare", "IN", "--horizon", "3", "--models", "Naive", "--items", "0"], "--items"),
        (["compare", "IN", "--horizon", "90", "--models", "Naive"], "longest item 'a' has 60 steps"),
        ([], "COMMAND"),
        (["dance"], "invalid choice"),
    ],
)
def test_an_error_is_one_line_and_code_2(argv, message, table, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table.to_csv("in.csv", index=False)
    (tmp_path / "EMPTY.csv").touch()
    (tmp_path / "FOREIGN.parquet").write_bytes(b"this is no parquet file")
    places = {"IN": "in.csv", "EMPTY": "EMPTY.csv", "FOREIGN": "FOREIGN.parquet"}
    try:
        code = main([places.get(word, word) for word in argv])
    except SystemExit as stopped:  # argparse
        code = stopped.code
    said = capsys.readouterr()
    errors = [line for line in said.err.splitlines() if "error" in line]
    assert code == 2 and said.out == ""
    assert len(errors) == 1 and message in errors[0] and "Traceback" not in said.err


def test_starting_is_light():
    code = "import sys; from tsar.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "heavy = {'torch', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules); sys.exit(len(heavy))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "forecast every series" in done.stdout


def test_model_names():
    assert naming.build("AR(lags=[1, 12], trend='c')").lags == [1, 12]
    assert naming.build("AR(12)").lags == 12
    assert naming.build("SeasonalNaive(season_length=3)", known=()).season_length == 3
    both = naming.build("Ensemble([AR(lags=2), Naive], weights=(0.5, 0.5))")
    assert [type(f).__name__ for f in both.forecasters] == ["AR", "Naive"] and both.forecasters[0].lags == 2
    for text, message in {
        "AR(**{'lags': 1})": "expected a name of `tsar models`, or a call",
        "AR(": "or a call such as",
        "os.system('x')": "or a call such as",
        "AR(lags=1 + open)": "no option",
        "Conformal": "Conformal: .*missing",
        "AR(lags=print('x'))": "unknown model 'print'",
    }.items():
        with pytest.raises(ValueError, match=message):
            naming.build(text)


def test_a_failed_write_keeps_the_old_file_and_devices_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(KeyError), whole_file(path) as part:
        part.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    with pytest.raises(ValueError, match="found something else"), whole_file(tmp_path):
        pass


def test_tables_are_read_as_they_are(tmp_path):
    (tmp_path / "a.csv").write_text("ds;y\n2024-01-01;1,5\n2024-01-02;2,5\n")
    assert read_table_file(tmp_path / "a.csv")["y"].tolist() == [1.5, 2.5]
    (tmp_path / "b.csv").write_text("day,x,z\n2024-01-01,1,2\n2024-01-02,3,4\n")
    wide = read_table_file(tmp_path / "b.csv")
    assert list(wide.columns) == ["x", "z"] and wide.index[1] == pd.Timestamp("2024-01-02")
    assert len(load_dataset("nile")) == 100
