"""`python -m training catalogue | import | simulate | fit | evaluate | protocol`.

Exit status: 0, 1 (failed), 2 (usage).
"""

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.catalogue.command import app as catalogue_app
from training.source_options import (
    Codes,
    Columns,
    Source,
    TimeFormat,
    TimeUnit,
    TimeZone,
    source_options,
)

app = typer.Typer(
    help="Train and judge the model, offline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Markup would swallow what stands in brackets, as in [env: LACUNA_PORT].
    rich_markup_mode=None,
)
app.add_typer(catalogue_app, name="catalogue")


class Device(StrEnum):
    """Where the network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Seed = Annotated[int, typer.Option(help="Of everything random in this command.", min=0)]


@app.command("import")
def import_command(
    kind: Annotated[Source, typer.Argument(help="What SOURCE holds.")],
    source: Annotated[Path, typer.Argument(help="Folder or file to read.")],
    out: Annotated[Path, typer.Option(help="Directory of the MEDS dataset to write.")],
    catalogue: Annotated[
        Path | None,
        typer.Option(
            help="Table of variables that the dataset will carry, as `catalogue propose` writes it "
            "(default: those of the shipped table that occur).",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    codes: Codes = None,
    columns: Columns = "",
    time_format: TimeFormat = None,
    time_unit: TimeUnit = "hours",
    time_zone: TimeZone = None,
    accept_suspected: Annotated[
        list[str] | None,
        typer.Option(
            help="VARIABLE=UNIT: read the rows of the variable that have no unit, or a suspected "
            "one, in UNIT; repeatable."
        ),
    ] = None,
) -> None:
    """Turn a source into a cleaned MEDS dataset, with a report of every row that was not used."""
    from model.data.catalogue_table import read_catalogue
    from training.datasets.importing import ImportOptions, import_source

    options = ImportOptions(
        source=source_options(kind, source, codes, columns, time_format, time_unit, time_zone),
        catalogue=None if catalogue is None else read_catalogue(catalogue),
        accepted_units=_accepted_units(accept_suspected or []),
    )
    for line in import_source(source, out, options).lines():
        print(line)


def _accepted_units(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, mark, unit = pair.partition("=")
        if not (name and mark and unit):
            raise typer.BadParameter("expected VARIABLE=UNIT", param_hint="--accept-suspected")
        found[name] = unit
    return found


@app.command()
def simulate(
    subjects: Annotated[int, typer.Option(help="Number of subjects.", min=1)],
    out: Annotated[Path, typer.Option(help="Directory of the MEDS dataset to write.")],
    seed: Seed = 0,
) -> None:
    """Simulate a cohort with known physiology; the truth is kept beside it."""
    from training.datasets.simulated_dataset import write_simulated

    print(write_simulated(out, num_subjects=subjects, seed=seed))


@app.command()
def fit(
    data: Annotated[Path, typer.Argument(help="MEDS dataset.", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(help="Directory of the artifact to write.")],
    preset: Annotated[str, typer.Option(help="quick, default or best.")] = "default",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, may be repeated.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model.")] = "icu",
    version: Annotated[str, typer.Option(help="Version of the model.")] = "1",
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after a kill.")] = False,
    split: Annotated[
        Path | None,
        typer.Option(
            help="CSV with columns subject_id, part (train, tuning or held_out), every subject once. "
            "By default a hash of each subject's id decides: 80, 10 and 10 %.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Divide the subjects into so many folds, by the same hash.")
    ] = None,
    fold: Annotated[
        int | None, typer.Option(help="Which fold is held out, from 1 to the number of folds.")
    ] = None,
    export: Annotated[
        bool,
        typer.Option(help="Write the network as an ONNX graph too, for a service without torch."),
    ] = True,
    seed: Seed = 0,
) -> None:
    """Train a model on the variables of a dataset, and write its artifact."""
    from training.config import configure
    from training.console import FitConsole
    from training.device import choose_device
    from training.fit import fit as run_fit
    from training.splits import SplitChoice

    config = configure(preset, overrides or [], seed=seed)
    with FitConsole(Console(), num_epochs=config.epochs) as progress:
        fitted = run_fit(
            data,
            out,
            config,
            name=name,
            artifact_version=version,
            device=choose_device(device.value),
            resume=resume,
            progress=progress,
            exports=export,
            split=SplitChoice(file=split, num_folds=folds, fold=fold),
        )
    if fitted is None:  # not the first of several processes
        return
    best = min(fitted.history, key=lambda record: record.validation_error)
    print(
        f"wrote {out}: best epoch {best.epoch + 1} of {len(fitted.history)}, tuning errors "
        f"{best.errors_text} (standardized)"
    )
    if fitted.untrained:
        print(fitted.untrained)
    certificate = fitted.certificate
    print(
        f"{'solver' if certificate.holds else 'warning: solver not certified'}: {certificate.text}"
    )
    if (parity := fitted.parity) is not None:
        print(f"{'graph' if parity.holds else 'warning: graph not certified'}: {parity.text}")


class Part(StrEnum):
    """Which subjects `evaluate` judges."""

    AUTO = "auto"
    HELD_OUT = "held-out"
    ALL = "all"


@app.command()
def evaluate(
    artifact: Annotated[Path, typer.Argument(help="Artifact directory.", exists=True)],
    data: Annotated[Path, typer.Argument(help="MEDS dataset.", exists=True, file_okay=False)],
    task: Annotated[str, typer.Option(help="forecast, imputation, or truth (simulated data).")],
    out: Annotated[Path, typer.Option(help="Directory of the report to write.")],
    part: Annotated[
        Part,
        typer.Option(
            help="Subjects: auto takes all that training and tuning did not see, in any dataset; "
            "held-out those that fit held out; all takes everybody, and says whom the model saw."
        ),
    ] = Part.AUTO,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = Device.AUTO,
    seed: Seed = 0,
) -> None:
    """Judge an artifact on records that it has not seen, beside the trivial answers."""
    from training.device import choose_device
    from training.evaluate import evaluate as run_evaluate

    summary = run_evaluate(
        artifact,
        data,
        task=task,
        out=out,
        part=part.value,
        device=str(choose_device(device.value)),
        seed=seed,
        command=sys.argv[1:],
    )
    print(summary)


@app.command()
def protocol(
    name: Annotated[str, typer.Argument(help="tpatchgnn-forecast, csdi-imputation, ...")],
    data: Annotated[
        Path, typer.Option(help="Folder with set-a and others.", exists=True, file_okay=False)
    ],
    out: Annotated[Path, typer.Option(help="Directory of scores.json and table.md.")],
    seed: Annotated[
        int | None, typer.Option(help="Of the protocol's split or masks; by default as published.")
    ] = None,
    bars_only: Annotated[bool, typer.Option("--bars-only", help="Fit no model.")] = False,
    epochs: Annotated[
        int | None, typer.Option(help="Of training; by default those of the recipe.", min=1)
    ] = None,
    members: Annotated[
        int | None, typer.Option(help="Networks to average; by default of the recipe.", min=1)
    ] = None,
    recipe_changes: Annotated[
        list[str] | None,
        typer.Option("--train", help="key=value of the training, as --set of fit; repeatable."),
    ] = None,
    training_seed: Annotated[int, typer.Option(help="Of the model's training.", min=0)] = 0,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after a kill.")] = False,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", help="Option of the protocol, hidden=0.5 for example; repeatable."),
    ] = None,
) -> None:
    """Run a published benchmark and print our row in its table."""
    from training.protocols.answers import Method
    from training.protocols.catalogue import load, parse_options
    from training.protocols.run import write_table

    loaded = load(name, data, seed=seed, **parse_options(name, options or []))
    methods: Mapping[str, Method] = {}
    if not bars_only:
        from training.console import FitConsole
        from training.device import choose_device
        from training.protocols.latent import fit_latent, rows
        from training.protocols.recipes import recipe_of

        recipe = recipe_of(
            name, recipe_changes or [], seed=training_seed, epochs=epochs, num_members=members
        )
        with FitConsole(Console(stderr=True), num_epochs=recipe.config.epochs) as progress:
            method = fit_latent(
                loaded,
                recipe,
                out=out,
                device=choose_device(device.value),
                progress=progress,
                resume=resume,
            )
        methods = rows(method)
    print(write_table(loaded, methods, out))


def main() -> None:
    """Run the command; a known error becomes one line and exit status 1."""
    from model.errors import ModelError
    from training.datasets.errors import DatasetError

    try:
        app()
    except (ModelError, DatasetError, ValueError, OSError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", highlight=False, markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
