"""Errors of reading and writing data sets.

DatasetError                    catch this one to catch them all
├── SourceFormatError           a source that is not what it was said to be
├── EmptySourceError            a source that leaves no observation
├── NotADatasetError            a directory that this program has not written, or that was altered
├── OutputExistsError           an output directory that holds something else
└── OutputInsideSourceError     an output directory that would become input

Messages name the file and the column, what was expected and what to do; never a patient's value.
"""

from typing import ClassVar


class DatasetError(Exception):
    """Root of the tree."""

    code: ClassVar[str] = "dataset_error"


class SourceFormatError(DatasetError):
    """Raised for a source that is not of the format it was said to be."""

    code = "source_format"


class EmptySourceError(DatasetError):
    """Raised for a source that leaves no observation to learn from."""

    code = "empty_source"


class NotADatasetError(DatasetError):
    """Raised for a directory that is no data set of this program, or that was altered since."""

    code = "not_a_dataset"


class OutputExistsError(DatasetError):
    """Raised instead of overwriting a directory that this program has not written."""

    code = "output_exists"


class OutputInsideSourceError(DatasetError):
    """Raised for an output directory inside of its source: the next import would read it as input."""

    code = "output_inside_source"
