"""Readers that stream every input format as rows of the long table. None of them holds a file."""

from service.jobs.sources.opening import open_source

__all__ = ["open_source"]
