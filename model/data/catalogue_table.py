"""Stand-in until branch `catalogue` is merged."""

import json
from pathlib import Path

from model.data.variables import Catalogue


def read_catalogue(path: Path) -> Catalogue:
    return Catalogue.from_json(json.loads(path.read_text(encoding="utf-8")))


def write_catalogue(path: Path, catalogue: Catalogue) -> None:
    path.write_text(json.dumps(catalogue.to_json()), encoding="utf-8")
