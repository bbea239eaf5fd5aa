"""The command line: diagnose, screen, route, verify, train, evaluate, bench, explore, export."""

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status (2, usage, is raised by argparse)."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return options.run(options) or 0
    except (OSError, ValueError, RuntimeError) as error:
        print(f"pulmoscope: {error}", file=sys.stderr)
        return 2


@contextlib.contextmanager
def _without_chatter():
    """Keep what TensorFlow's C++ libraries say while they load from standard error.

    Their log level has no hold on it, and a reader takes "failed call to cuInit" for an error.
    """
    sys.stderr.flush()
    kept, silent = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(silent)


def _diagnose(options) -> int:
    with _without_chatter():
        from pipeline.cli.diagnose import diagnose_files
        from pipeline.inference.engine import load_predictor

        predictor = load_predictor(options.model)
        predictor(np.zeros((64, 64), np.float32))  # what is left to say is said on the first film

    return diagnose_files(options, predictor)


def _train(options) -> None:
    from pipeline.training.train import train

    if options.init and options.model != "xception":
        raise ValueError("--init is for xception: no other model has ImageNet's weights.")
    packs = [path for path in options.data if path.is_file()]
    if len(options.data) > 1 and packs != options.data:
        raise ValueError("--data is one folder, or packs of training images.")
    train(
        options.model,
        packs or options.data[0],
        options.resume,
        options.config,
        options.folder,
        options.init,
        options.fold,
    )


def _evaluate(options) -> None:
    if options.site:
        _evaluate_site(options)
        return
    if options.what == "heatmaps":
        from pipeline.evaluation.heatmaps import judge_heatmaps

        result = judge_heatmaps(options.data, options.model, options.part)
    elif options.what == "sources":
        from pipeline.release.leave_one_out import leave_one_source_out

        result = leave_one_source_out(options.data, sources=options.sources)
    elif options.what == "together":
        from pipeline.evaluation.ensemble import judge_together

        result = judge_together(options.data, options.part)
    elif options.what == "lungs":
        from pipeline.evaluation.ablation import judge_lungs

        result = judge_lungs(options.data, options.model, options.part)
    elif options.what == "changes":
        from pipeline.evaluation.robustness import judge_changes

        result = judge_changes(options.data, options.model, options.part)
    elif options.what == "gate":
        from pipeline.evaluation.gate import judge_gate

        result = judge_gate(options.data, options.model, pictures=options.pictures)
    else:
        from pipeline.evaluation.evaluate import evaluate

        result = evaluate(options.data, options.model, options.part, options.threshold)
    _report(result, options.json)


def _evaluate_site(options) -> None:
    from pipeline.evaluation.site import judge_site
    from pipeline.report.site_card import site_pdf

    record = judge_site(options.data, options.model, options.site)
    path = options.json or Path(f"{options.model}.site.json")
    _report(record, path)
    path.with_suffix(".pdf").write_bytes(site_pdf(record, str, "en"))
    print(f"{path} and {path.with_suffix('.pdf')}: set PULMOSCOPE_SITE to the first.")


def _screen(options) -> None:
    from pipeline.screening.screen import screen

    said = screen(
        options.source,
        options.out,
        options.model,
        options.threshold,
        options.masks,
        options.resume,
        options.address,
        options.shard,
    )
    print(", ".join(f"{count} {status}" for status, count in sorted(said.items())))
    print(options.out / "summary.html")


def _bench(options) -> None:
    from pipeline.cli.bench import bench

    _report(bench(options.part), options.json)


def _explore(options) -> None:
    from pipeline.data.exploration import explore

    _report(explore(options.data), options.json)


def _export(options) -> None:
    with _without_chatter():
        from pipeline.release.export import export

        export(options.model, options.format, options.out)
    print(options.out)


def _route(options) -> None:
    from pipeline.cli.route import route

    route(options)


def _verify(options) -> int:
    with _without_chatter():
        from functools import cache

        from pipeline.inference.engine import load_predictor
        from pipeline.report.verify import verify

        report, file = options.report.read_bytes(), options.file.read_bytes()
        lines = verify(report, file, cache(load_predictor))
    words = {True: "agrees", False: "DIFFERS", None: "unknown"}
    for line in lines:
        said = line.said if line.agrees else f"{line.said}, computed: {line.found}"
        print(f"{words[line.agrees]}: {line.what}: {said}")
    return int(not all(line.agrees for line in lines))


def _report(result: dict, path: Path | None) -> None:
    from pipeline.evaluation.estimates import plain

    text = json.dumps(plain(result), indent=1)
    print(text)
    if path:
        path.write_text(text + "\n", encoding="utf-8")


def _add_hospital(commands) -> None:
    """What serves other systems, and checks what came from here."""
    add = commands.add_parser("route", help="answer radiographs that come by DICOM C-STORE")
    add.add_argument("--title", default="PULMOSCOPE", metavar="AE", help="own AE title")
    add.add_argument("--port", type=int, default=11112)
    add.add_argument("--address", default="127.0.0.1", help="0.0.0.0: every network")
    add.add_argument("--allow", nargs="+", required=True, metavar="AE", help="who may send")
    add.add_argument("--to", metavar="AE@HOST:PORT", help="where results go; else PULMOSCOPE_PACS")
    add.add_argument("--model", choices=("light", "xception"), default="light")
    add.add_argument("--tls-cert", type=Path, metavar="FILE")
    add.add_argument("--tls-key", type=Path, metavar="FILE")
    add.add_argument("--tls-ca", type=Path, metavar="FILE", help="senders need its certificates")
    add.set_defaults(run=_route)

    add = commands.add_parser("verify", help="whether a report says what the image gives")
    add.add_argument("report", metavar="REPORT", type=Path, help="PDF, JSON or DICOM SR")
    add.add_argument("file", metavar="FILE", type=Path, help="the image that it is of")
    add.set_defaults(run=_verify)


def _parser() -> argparse.ArgumentParser:
    from pipeline.explain.gradcam import methods_for

    classifiers = ("light", "xception", "cnn1", "cnn2")

    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add = commands.add_parser("diagnose", help="lung mask, COVID score and heatmap of radiographs")
    add.add_argument("files", nargs="+", metavar="FILE", type=Path)
    add.add_argument("--model", choices=("light", "xception"), default="light")
    add.add_argument("--threshold", type=_unit_interval, help="COVID at or above this score, 0..1")
    methods = methods_for(pooled=True)
    add.add_argument("--cam", choices=methods, metavar="METHOD", help=", ".join(methods))
    add.add_argument("--out", type=Path, metavar="DIR", help="write mask, overlay and heatmap here")
    add.add_argument("--format", choices=("text", "json"), default="text")
    add.set_defaults(run=_diagnose)

    add = commands.add_parser("train", help="train a model on the database")
    add.add_argument("model", choices=("unet", *classifiers))
    add.add_argument(
        "--data",
        type=_there,
        nargs="+",
        required=True,
        metavar="DIR",
        help="the database's folder, or packs of its images",
    )
    add.add_argument("--fold", type=int, metavar="K", help="of the recipe's folds, to be left out")
    add.add_argument("--resume", action="store_true", help="continue after the last finished epoch")
    add.add_argument("--config", type=Path, metavar="FILE", help="a .py file with a RECIPE")
    add.add_argument("--run", type=Path, metavar="DIR", dest="folder", help="default runs/MODEL")
    add.add_argument(
        "--init",
        metavar="FILE",
        help="xception: ImageNet's trunk, a file, or 'imagenet' to download",
    )
    add.set_defaults(run=_train)

    add = commands.add_parser("evaluate", help="score a model on a folder of images")
    add.add_argument("--data", type=_folder, required=True, metavar="DIR")
    add.add_argument("--model", choices=classifiers, default="light")
    add.add_argument("--what", choices=KINDS, default="scores")
    add.add_argument("--part", choices=("all", "train", "validation", "test"), default="all")
    add.add_argument("--threshold", type=_unit_interval)
    add.add_argument("--sources", nargs="+", metavar="NAME", help="for sources: these alone")
    add.add_argument("--site", metavar="NAME", help="instead, a card of one's own hospital")
    pictures = Path(".cache/not_chest")
    add.add_argument("--pictures", type=Path, metavar="DIR", default=pictures, help="for gate")
    add.add_argument("--json", type=Path, metavar="FILE")
    add.set_defaults(run=_evaluate)

    _add_screen(commands)
    _add_hospital(commands)

    add = commands.add_parser("bench", help="speed and size, as ratios where there is a peer")
    add.add_argument("--part", action="append", choices=BENCHES, help="this alone; may be repeated")
    add.add_argument("--json", type=Path, metavar="FILE")
    add.set_defaults(run=_bench)
    add = commands.add_parser("explore", help="what is in the database")
    add.add_argument("--data", type=_folder, required=True, metavar="DIR")
    add.add_argument("--json", type=Path, metavar="FILE")
    add.set_defaults(run=_explore)
    add = commands.add_parser("export", help="the whole graph for other programs")
    add.add_argument("--model", choices=("light", "xception"), default="light")
    add.add_argument("--format", choices=("savedmodel", "onnx"), required=True)
    add.add_argument("--out", type=Path, required=True, metavar="PATH", help="folder or .onnx file")
    add.set_defaults(run=_export)
    return parser


BENCHES = ("engines", "start", "hist_norm", "heatmaps", "passes", "training", "files_mb")
KINDS = ("scores", "heatmaps", "lungs", "changes", "sources", "together", "gate")


def _unit_interval(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is outside 0..1")
    return value


def _add_screen(commands: argparse._SubParsersAction) -> None:
    add = commands.add_parser("screen", help="an archive of radiographs, to Parquet")
    add.add_argument("source", metavar="SOURCE", help="folder, list, ZIP, tar, DICOMDIR or URL")
    add.add_argument("--out", type=Path, required=True, metavar="DIR")
    add.add_argument("--model", choices=("light", "xception"), default="light")
    add.add_argument("--threshold", type=_unit_interval, help="COVID at or above this score, 0..1")
    add.add_argument("--masks", action="store_true", help="write lung masks, too")
    add.add_argument("--resume", action="store_true", help="go on after the last finished shard")
    add.add_argument("--address", metavar="ADDRESS", help="of a Ray cluster")
    add.add_argument("--shard", type=_count, default=128, metavar="N", help="files of a part")
    add.set_defaults(run=_screen)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of files")
    return int(text)


def _there(text: str) -> Path:
    if not Path(text).exists():
        raise argparse.ArgumentTypeError(f"{text} is not there")
    return Path(text)


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return Path(text)
