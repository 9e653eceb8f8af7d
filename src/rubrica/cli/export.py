"""The commands that write a model in another form: `rubrica export`, `convert` and `quantize`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rubrica.cli.data import data_options, faults_of, read_split, texts_in
from rubrica.cli.page import named_paths, page_options, read_examples
from rubrica.cli.units import parse_size
from rubrica.errors import RubricaError

if TYPE_CHECKING:
    from rubrica.config.groups import Storage
    from rubrica.export.shrink import Change


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL")
@click.option("--out", help="New folder; with --onnx a new file, NAME.onnx.")
@click.option("--web", metavar="DIR", help="Write a new folder for a web host: a page, rubrica.js and the MODELs.")
@click.option("--onnx", is_flag=True, help="Write an ONNX graph; onnxruntime checks its answers first.")
@click.option("--int8", is_flag=True, help="Store the word table with one byte per number.")
@click.option("--bf16", is_flag=True, help="Store all weights with two bytes per number.")
@click.option("--data", help="Texts with labels, to measure the accuracy before and after.")
@page_options
@data_options
def export(
    models: tuple[str, ...],
    out: str | None,
    web: str | None,
    onnx: bool,
    int8: bool,
    bf16: bool,
    data: str | None,
    examples: str | None,
    report: Path | None,
    **columns: Any,
) -> None:
    """Write MODEL as an ONNX file, for the web, or as a folder with smaller weights; print sizes and accuracies.

    --web takes several, each a MODEL or NAME=MODEL: the page shows two of them side by side.
    """
    if not (onnx or int8 or bf16 or web) or (int8 and bf16):
        raise click.UsageError("give --onnx, --web, --int8 or --bf16; one of the first two and one of the others")
    storage: Storage | None = "int8" if int8 else "bfloat16" if bf16 else None
    if web is not None:
        if onnx or out or data:
            raise click.UsageError("--web DIR takes no --onnx, --out or --data")
        from rubrica.cli.tables import print_web
        from rubrica.export.browser import export_web

        texts = read_examples(examples)
        print_web(export_web(named_paths(models), web, storage, examples=texts, report=report), web)
        return
    if len(models) > 1 or examples or report:
        raise click.UsageError("several MODELs, --examples and --report go together with --web DIR")
    if out is None:
        raise click.UsageError("give --out, a new folder; with --onnx a new file, NAME.onnx")
    from rubrica.export.shrink import store

    sizes = _export(
        models[0], out, data, lambda artifact: store(artifact, storage or artifact.storage), onnx=onnx, **columns
    )
    before, after = (sum(sizes[when].values()) for when in ("before", "after"))
    if not onnx and after >= before:
        advice = "rubrica quantize --max-size makes it smaller"
        click.echo(f"{out}: is not smaller, since {models[0]} was stored in small numbers already; {advice}", err=True)


@click.command()
@click.argument("model")
@click.option("--out", required=True, help="New folder for the model.")
@click.option("--check", metavar="FILE", help="Texts, to compare the answers before and after.")
@data_options
def convert(model: str, out: str, check: str | None, **columns: Any) -> None:
    """Write MODEL, a fastText file (.bin or .ftz), as a folder of tensors and JSON with the same answers.

    With --check the folder answers the texts of FILE and is compared with MODEL; so is fastText itself, where it is
    installed. The command fails if a label differs.
    """
    from rubrica.cli.tables import print_convert
    from rubrica.export import convert as converting

    report = converting.convert(model, out, texts_in(check, **columns) if check else None)
    print_convert(report)
    if any(found and found["labels"] < found["texts"] for found in report.get("check", {}).values()):
        raise RubricaError("the answers differ")


@click.command()
@click.argument("model")
@click.option(
    "--max-size", type=parse_size, required=True, metavar="SIZE", help="At most this size: 2M, 800k or bytes."
)
@click.option("--out", help="New folder for the model; for NAME.bin a new file.  [default: NAME.ftz]")
@click.option("--data", help="Texts with labels, to measure the accuracy before and after.")
@data_options
def quantize(model: str, max_size: float, out: str | None, data: str | None, **columns: Any) -> None:
    """Write MODEL to a folder of at most --max-size: with one-byte numbers, fewer words, or half-byte numbers.

    A fastText file, NAME.bin, becomes a fastText file: with rows in codes, and with fewer rows where they have to be.
    """
    from rubrica.artifact.fasttext_file import is_fasttext_file
    from rubrica.export.shrink import shrink

    if is_fasttext_file(model):
        _quantize_file(model, max_size, out, data, **columns)
    elif out is None:
        raise click.UsageError("give --out FOLDER, a new folder for the model")
    else:
        _export(model, out, data, lambda artifact: shrink(artifact, max_size), **columns)


def _quantize_file(model: str, max_size: float, out: str | None, data: str | None, **columns: Any) -> None:
    from rubrica.cli.tables import print_export
    from rubrica.export.shrink_fasttext import shrink_file

    examples = read_split(data, None, **columns) if data else None
    place = Path(out) if out else Path(model).with_suffix(".ftz")
    with faults_of(data or model):
        report = shrink_file(Path(model), place, max_size, examples=examples, name=data or model)
    print_export(report)


def _export(model: str, out: str, data: str | None, change: "Change", *, onnx: bool = False, **columns: Any) -> Any:
    """Write the model in another form, and tell what it costs; returns the bytes of each file, before and after."""
    from rubrica.cli.tables import print_export
    from rubrica.export.shrink import export_model
    from rubrica.predict.classifier import load

    layout = load(model).task.layout if data else {}
    examples = read_split(data, None, **columns | layout) if data else None
    with faults_of(data or model):
        report = export_model(Path(model), Path(out), change, onnx=onnx, examples=examples, name=data or model)
    print_export(report)
    return report["bytes"]
