"""The catalogue that the project ships, as the table `catalogue.csv` beside this module."""

from functools import cache
from importlib.resources import as_file, files

from model.data.catalogue_table import read_catalogue
from model.data.variables import Catalogue


@cache
def shipped_catalogue() -> Catalogue:
    """Return the shipped catalogue: a default for whoever has no table of their own."""
    with as_file(files("model.data") / "catalogue.csv") as path:
        return read_catalogue(path)
