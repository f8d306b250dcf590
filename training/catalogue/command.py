"""`python -m training catalogue propose | check | show`."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.console import Console

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
    help="Tables of variables: propose one from records, check one, show one.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("propose")
def propose_command(
    source: Annotated[Path, typer.Argument(help="Folder or file to read.", exists=True)],
    out: Annotated[Path, typer.Option(help="CSV to write: one row a variable, for a spreadsheet.")],
    kind: Annotated[Source, typer.Option(help="What SOURCE holds.")] = Source.TABLE,
    known: Annotated[
        Path | None,
        typer.Option(
            help="Table whose rows are taken for the names that it knows, before the shipped one "
            "(default: the table of SOURCE where it is an imported data set).",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    codes: Codes = None,
    columns: Columns = "",
    time_format: TimeFormat = None,
    time_unit: TimeUnit = "hours",
    time_zone: TimeZone = None,
    min_subjects: Annotated[
        int, typer.Option(help="Subjects that a variable must have, unless it is known.")
    ] = 5,
    max_variables: Annotated[
        int | None, typer.Option(help="Keep so many variables: those of the most subjects.", min=1)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace OUT, which may hold your changes.")
    ] = False,
) -> None:
    """Write a table of variables from the records themselves, for you to edit."""
    from training.catalogue.from_source import propose_from
    from training.catalogue.proposing import ProposalRules

    if out.exists() and not overwrite:
        raise typer.BadParameter(
            f"{out} exists and may hold your changes; add --overwrite to replace it",
            param_hint="--out",
        )
    options = source_options(kind, source, codes, columns, time_format, time_unit, time_zone)
    rules = ProposalRules(min_subjects=min_subjects, max_variables=max_variables)
    account = propose_from(source, options, known=known, rules=rules)
    for line in account.lines():
        print(line)
    account.proposal.write(out)
    given = _given_again(codes, columns, time_format, time_unit, time_zone)
    accepted = "".join(
        f" --accept-suspected {quote(f'{name}={unit}')}" for name, unit in account.proposal.accepts
    )
    table, records = quote(str(out)), quote(str(source))
    print(f"wrote {out}. What to do next:")
    print("  1. open it in a spreadsheet; the columns note and seen_... say what to look at")
    print(f"  2. python -m training catalogue check {table}")
    print(
        f"  3. python -m training import {kind.value} {records} --catalogue {table} --out DATASET{given}"
    )
    if accepted:
        print(f"     and, if the values are in these units:{accepted}")


def _given_again(
    codes: Path | None,
    columns: str,
    time_format: str | None,
    time_unit: str,
    time_zone: str | None,
) -> str:
    """Return the options about the source that the import needs as well."""
    options = {
        "--codes": codes,
        "--columns": columns,
        "--time-format": time_format,
        "--time-unit": "" if time_unit == "hours" else time_unit,
        "--time-zone": time_zone,
    }
    return "".join(f" {name} {quote(str(value))}" for name, value in options.items() if value)


@app.command("check")
def check_command(
    file: Annotated[Path, typer.Argument(help="Table of variables.", exists=True, dir_okay=False)],
) -> None:
    """Say everything that is wrong with an edited table; exit status 1 where it cannot be used."""
    from training.catalogue.checking import check_catalogue

    checked = check_catalogue(file)
    for line in checked.lines():
        print(line)
    if checked.faults:
        raise typer.Exit(1)


@app.command("show")
def show_command(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="Table, artifact or imported data set (default: the shipped table).", exists=True
        ),
    ] = None,
    variable: Annotated[
        str | None, typer.Option(help="One variable or static in full: a name, code or alias.")
    ] = None,
) -> None:
    """Print a catalogue as a table."""
    from training.catalogue.showing import catalogue_at, details, overview

    catalogue = catalogue_at(source)
    console = Console()
    if variable is None:
        for table in overview(catalogue):
            console.print(table)
    else:
        console.print(details(catalogue, variable))
