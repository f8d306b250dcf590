"""`protocol`: answer a published benchmark, and print our row in its table."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from model.files import write_atomically
from training.protocols.answers import Method
from training.protocols.bars import LEAST_SQUARES, bars
from training.protocols.judge import judge
from training.protocols.protocol import Protocol
from training.protocols.table import as_json, markdown

_BOOTSTRAP_SEED = 0


def write_table(protocol: Protocol, methods: Mapping[str, Method], out: Path) -> str:
    """Judge the trivial bars and some methods; write `scores.json` and `table.md`.

    Returns the table.
    """
    named: dict[str, Method] = {bar.name: bar.method for bar in bars(protocol)}
    answers = {name: method.answer(protocol.test) for name, method in {**named, **methods}.items()}
    judgments = [
        judge(
            protocol,
            name,
            answer,
            None if name == LEAST_SQUARES else answers[LEAST_SQUARES],
            np.random.default_rng(_BOOTSTRAP_SEED),
        )
        for name, answer in answers.items()
    ]
    out.mkdir(parents=True, exist_ok=True)
    table = markdown(protocol, judgments)
    write_atomically(out / "table.md", table.encode())
    content = json.dumps(as_json(protocol, judgments), indent=1)
    write_atomically(out / "scores.json", content.encode() + b"\n")
    return table
