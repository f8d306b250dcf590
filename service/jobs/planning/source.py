"""What a job reads, and how."""

from dataclasses import dataclass
from pathlib import Path

from model.data.units import conversion
from model.data.variables import Catalogue
from model.errors import UnitError, UnknownVariableError
from model.files import sha256_of_all
from model.records.codes import CodeMap
from model.records.errors import SourceError
from model.records.sources.options import SourceOptions
from model.records.times import TimeRules
from service.jobs.errors import JobInputError
from service.jobs.request import CodeTarget, JobRequest


@dataclass(frozen=True)
class Source:
    """What a job reads: a table or data set, and the table of query times if there is one."""

    path: Path
    times: Path | None = None

    @property
    def sha256(self) -> str:
        """Hash of all of it."""
        return sha256_of_all([self.path] if self.times is None else [self.path, self.times])


def source_options(request: JobRequest) -> SourceOptions:
    """Return what a request says about its source.

    Raises
    ------
    JobInputError
        If a column, a code, a unit of time or a time zone is none.
    """
    written = request.time
    content = {
        code: target.model_dump(exclude_none=True) if isinstance(target, CodeTarget) else target
        for code, target in request.codes.items()
    }
    try:
        return SourceOptions(
            format=request.format,
            columns={str(ours): theirs for ours, theirs in request.columns.items()},
            time=TimeRules(time_format=written.format, zone=written.zone, unit=written.unit),
            codes=CodeMap.of(content),
        )
    except SourceError as error:
        raise JobInputError(str(error)) from error


def check_names(request: JobRequest, catalogue: Catalogue) -> None:
    """Refuse codes and accepted units that mean nothing in the catalogue.

    Raises
    ------
    JobInputError
        If a code stands for no variable, or a unit is none of its variable.
    """

    def knows(name: str) -> bool:
        return catalogue.find(name) is not None or catalogue.find_static(name) is not None

    try:
        source_options(request).codes.check(knows)
    except SourceError as error:
        raise JobInputError(str(error), path="codes") from error
    for name, unit in request.accepted_units.items():
        try:
            conversion(catalogue[catalogue.channel(name)], unit)
        except (UnknownVariableError, UnitError) as error:
            raise JobInputError(str(error), path="accepted_units") from None
