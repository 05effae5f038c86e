"""The command line: `tsar forecast | compare | datasets | models`, and the commands of the neural side.

Results go to stdout or to files, progress and errors to stderr; an error is one line, and the exit code is then 2.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import logging
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tsar import naming

if TYPE_CHECKING:
    import pandas as pd

MORE = {
    "pretrain": ("tsar.pretrain", "train a zero-shot model on a corpus"),
    "verify": ("tsar.verify", "check bundled weights against their published scores"),
    "generate": ("tsar.sample", "train a generator of sequences and sample from it"),
}
EXPECTED = (ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parser(argv).parse_args(argv)
        logging.basicConfig(stream=sys.stderr, format="tsar: %(message)s", level=logging.INFO)
        warnings.showwarning = _show_warning
        args.run(args)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our stdout has gone: nothing is left to say
        return 0
    except EXPECTED as error:
        if "--debug" in argv:
            raise
        sys.stderr.write(f"tsar: error: {' '.join(str(error).split()) or type(error).__name__}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("tsar: interrupted\n")
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    from tsar import __version__

    parser = _Parser(prog="tsar", description="Forecast time series and compare forecasters, from files or by name.")
    parser.add_argument("--version", action="version", version=f"tsar {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    one = commands.add_parser("forecast", help="forecast every series of a file or data set")
    _add_data(one)
    one.add_argument("--model", help="e.g. Theta, 'AR(lags=12)', tsar-small, timer; default the best that is installed")
    one.add_argument("--levels", type=_levels, metavar="Q,Q,…", help="quantile levels, default 0.1,…,0.9")
    one.add_argument("--future", metavar="FILE", help="table of the known covariates over the horizon")
    one.add_argument("--known", type=_words, default=(), metavar="COL,…", help="columns known in advance")
    one.add_argument("--out", metavar="FILE", help="write the forecast to a csv or parquet file, default csv on stdout")
    one.add_argument("--plot", metavar="FILE", help="draw history and forecast to a png, svg or pdf file")
    one.set_defaults(run=_forecast)

    many = commands.add_parser("compare", help="compare forecasters at rolling origins")
    _add_data(many)
    many.add_argument("--models", nargs="+", metavar="MODEL", help=f"default {' '.join(naming.compared())}")
    many.add_argument("--windows", type=int, default=5, help="number of forecast origins, default 5")
    many.add_argument("--step", type=int, help="steps between origins, default the horizon")
    many.add_argument("--no-refit", action="store_true", help="fit once, at the first origin")
    many.add_argument("--max-history", type=int, metavar="L", help="show only the last L steps before an origin")
    many.add_argument("--report", metavar="FILE", help="write a self-contained html page")
    many.add_argument("--show", type=_words, metavar="ITEM,…", help="whose forecasts the page draws, default four")
    many.add_argument("--out", metavar="FILE", help="write the leaderboard to a csv or parquet file")
    many.add_argument("--plot", metavar="FILE", help="draw the comparison to a png, svg or pdf file")
    many.set_defaults(run=_compare)

    catalogue = commands.add_parser("datasets", help="list the data sets that can be named")
    catalogue.add_argument("--kind", help="forecasting, classification or generation")
    catalogue.set_defaults(run=_datasets)
    commands.add_parser("models", help="list the forecasters that can be named").set_defaults(run=_models)

    for name, (module, text) in MORE.items():
        if importlib.util.find_spec(module) is None:
            continue
        command = commands.add_parser(name, help=text)
        if argv[:1] == [name]:  # imports torch: only for whoever asks for it
            code = importlib.import_module(module)
            code.add_arguments(command)
            command.set_defaults(run=code.run)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show where an error comes from")
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", metavar="FILE|DATASET", help="csv or parquet, long or wide; or a name of `tsar datasets`"
    )
    parser.add_argument("--horizon", type=int, metavar="H", help="steps ahead; a data set has its own default")
    parser.add_argument("--freq", help="pandas alias such as h, D, W-SUN, MS; default inferred from the timestamps")
    parser.add_argument("--season-length", type=int, metavar="S", help="steps per season, default from the frequency")
    parser.add_argument("--id", metavar="COL", help="column of the series' names, default item_id or unique_id")
    parser.add_argument("--time", metavar="COL", help="column of the times, default timestamp or ds")
    parser.add_argument("--target", metavar="COL", help="column of the values, default target or y")
    parser.add_argument("--items", type=int, metavar="N", help="only the first N series")


def _forecast(args: argparse.Namespace) -> None:
    from tsar.files import write_table_file
    from tsar.forecast import DECILES

    df, names = _data(args)
    horizon = _horizon(args, df)
    name = args.model or naming.default()
    model = naming.build(name, known=args.known)
    started = _note(f"forecasting {horizon} steps with {name}")
    options: dict[str, Any] = {"freq": args.freq, "season_length": _season(args, df)}
    future = None if args.future is None else _read(args.future, args)[0]
    if model.__sklearn_is_fitted__():
        forecast = model.predict(horizon, df, levels=args.levels or DECILES, future=future, random_state=0, **options)
    else:
        model.fit(df, **options)
        forecast = model.predict(horizon, levels=args.levels or DECILES, future=future, random_state=0)
    _note(f"forecast {len(forecast)} series", started)
    table = forecast.to_frame().rename(columns=names)
    if args.plot:
        _save_figure(forecast.plot(df), args.plot)
    if args.out:
        write_table_file(table, Path(args.out))
        _note(f"wrote {args.out}")
    else:
        table.to_csv(sys.stdout, index=False)


def _compare(args: argparse.Namespace) -> None:
    from tsar.comparison import compare
    from tsar.files import write_table_file

    df, _ = _data(args)
    models = {text: naming.build(text) for text in args.models or naming.compared()}
    started = _note(f"comparing {', '.join(models)}")
    comparison = compare(
        models, df, _horizon(args, df), args.windows, step=args.step, refit=not args.no_refit, freq=args.freq,
        max_history=args.max_history, season_length=_season(args, df), progress=sys.stderr.isatty(),
        title=df.attrs.get("title", Path(args.data).stem),
    )  # fmt: skip
    table = comparison.to_frame()
    _note(f"compared {len(table)} forecasters on {len(comparison.last.history)} series", started)
    shown = table[["MASE", "MASE_low", "MASE_high", "WQL", "coverage_80", "fit_seconds", "predict_seconds", "verdict"]]
    sys.stdout.write(shown.rename_axis(None).round(3).to_string() + "\n")
    if args.out:
        write_table_file(table.reset_index(), Path(args.out))
        _note(f"wrote {args.out}")
    if args.plot:
        _save_figure(comparison.plot(), args.plot)
    if args.report:
        ids = {str(item): item for item in comparison.last.history.ids}
        comparison.to_html(args.report, items=args.show and [ids.get(item, item) for item in args.show])
        _note(f"wrote {args.report}: open it in a browser")


def _datasets(args: argparse.Namespace) -> None:
    from tsar.catalog import list_datasets

    table = list_datasets(args.kind).drop(columns=["licence", "domain"])
    table[["freq"]] = table[["freq"]].fillna("")
    sys.stdout.write(table.rename_axis(None).to_string(na_rep="", max_colwidth=80) + "\n")


def _models(args: argparse.Namespace) -> None:
    rows = naming.describe()
    width = max(len(name) for name, _ in rows)
    sys.stdout.write("".join(f"{name:{width}}  {text}\n" for name, text in rows))


def _data(args: argparse.Namespace) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read a file or data set, and the map from our column names back to those of --id, --time and --target."""
    from tsar.catalog import load_dataset
    from tsar.files import TABLES, is_table

    if args.out and not args.out.lower().endswith(TABLES):  # said before the work, not after it
        raise ValueError(f"--out {args.out}: expected a file that ends in one of {', '.join(TABLES)}")
    if is_table(args.data) or Path(args.data).is_file():
        df, names = _read(args.data, args)
    else:
        df, names = load_dataset(args.data), {}
        if df.attrs["kind"] != "forecasting":
            raise ValueError(f"data set {args.data!r} holds sequences for {df.attrs['kind']}, not series to forecast")
    if args.items is not None:
        if args.items < 1:
            raise ValueError(f"--items: expected at least 1, found {args.items}")
        column = next((c for c in ("item_id", "unique_id") if c in df.columns), None)
        df = df.iloc[:, : args.items] if column is None else df[df[column].isin(df[column].unique()[: args.items])]
    return df, names


def _read(name: str, args: argparse.Namespace) -> tuple[pd.DataFrame, dict[str, str]]:
    from tsar.files import read_table_file

    df = read_table_file(Path(name))
    asked = {args.id: "item_id", args.time: "timestamp", args.target: "target"}
    asked = {theirs: ours for theirs, ours in asked.items() if theirs is not None}
    if missing := [theirs for theirs in asked if theirs not in df.columns]:
        raise ValueError(f"{name}: expected a column {missing[0]!r}, found {list(map(str, df.columns))}")
    if taken := [ours for theirs, ours in asked.items() if ours != theirs and ours in df.columns]:
        raise ValueError(f"{name}: has a column {taken[0]!r} beside the one named in its place")
    return df.rename(columns=asked), {ours: theirs for theirs, ours in asked.items()}


def _horizon(args: argparse.Namespace, df: pd.DataFrame) -> int:
    horizon = args.horizon if args.horizon is not None else df.attrs.get("horizon")
    if horizon is None:
        raise ValueError("--horizon H is needed for a file: how many steps ahead?")
    return int(horizon)


def _season(args: argparse.Namespace, df: pd.DataFrame) -> int | None:
    return args.season_length if args.season_length is not None else df.attrs.get("season_length")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _levels(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in _words(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers such as 0.1,0.5,0.9, found {text!r}") from None


def _save_figure(figure: Any, name: str) -> None:
    from tsar.files import whole_file

    with whole_file(Path(name)) as part:
        figure.savefig(part, dpi=150, format=Path(name).suffix[1:] or "png")
    _note(f"wrote {name}")


def _note(text: str, started: float | None = None) -> float:
    """Say what goes on, on stderr; return the time for a later note to say how long it took."""
    took = "" if started is None else f" in {time.perf_counter() - started:.1f} s"
    sys.stderr.write(f"tsar: {text}{took}\n")
    return time.perf_counter()


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    sys.stderr.write(f"tsar: {category.__name__}: {' '.join(str(message).split())}\n")


if __name__ == "__main__":
    sys.exit(main())
