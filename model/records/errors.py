"""What is raised for a source that cannot be read at all. A single row never raises."""

from model.errors import ModelError


class SourceError(ModelError):
    """Raised for a source that is not of the format it was said to be.

    The message says what was expected, what was found, where, and what to do; it holds no value of
    a patient. `name` is the last part of the file's path where a file is at fault.
    """

    code = "source_format"

    def __init__(self, detail: str, *, name: str | None = None) -> None:
        super().__init__(detail if name is None else f"{name}: {detail}")
        self.detail = detail
        self.name = name
