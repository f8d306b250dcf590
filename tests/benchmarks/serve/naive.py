"""The peer: the same model as most would serve it, FastAPI with typed models and eager PyTorch."""

import sys
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from model.artifact import load_artifact
from model.data.query import Query
from model.data.series import Cohort, Series
from model.runtime.backends import load_predictor
from model.runtime.predictor import Request


class Observations(BaseModel):
    """Columns."""

    time: list[float]
    variable: list[str]
    value: list[float]
    unit: list[str]


class Asked(BaseModel):
    """Times and variables."""

    times: list[float]
    variables: list[str]


class OneSeries(BaseModel):
    """A series with its query."""

    subject_id: str
    observations: Observations
    query: Asked


class Body(BaseModel):
    """A request."""

    series: list[OneSeries]


class Variable(BaseModel):
    """The answer about one variable."""

    mean: list[float]
    standard_deviation: list[float]
    quantiles: dict[str, list[float]]


class Answer(BaseModel):
    """The answer about every series."""

    series: list[dict[str, Variable]]


def make_app(artifact_dir: Path) -> FastAPI:
    """Load the model and return the application."""
    artifact = load_artifact(artifact_dir)
    predictor = load_predictor(artifact, backend="torch", device="cpu")
    catalogue = artifact.catalogue
    app = FastAPI()

    def answer(one: OneSeries) -> dict[str, Variable]:
        context = Series(
            one.subject_id,
            np.array(one.observations.time),
            np.array([catalogue.channel(name) for name in one.observations.variable]),
            np.array(one.observations.value),
            np.full(len(catalogue.statics), np.nan),
        )
        times, names = one.query.times, one.query.variables
        channels = np.array([catalogue.channel(name) for name in names])
        query = Query.grid([np.array(times)], [channels])
        found = predictor.predict(Request(Cohort.from_series([context]), query))
        deviation = np.sqrt(found.latent_variance + found.observation_variance)
        answers = {}
        for place, name in enumerate(names):
            own = slice(place, None, len(names))
            levels = zip(("0.05", "0.5", "0.95"), found.quantiles[:, own], strict=True)
            answers[name] = Variable(
                mean=found.mean[own].tolist(),
                standard_deviation=deviation[own].tolist(),
                quantiles={level: row.tolist() for level, row in levels},
            )
        return answers

    @app.post("/v1/impute")
    def impute(body: Body) -> Answer:
        return Answer(series=[answer(one) for one in body.series])

    @app.get("/health/ready")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(Path(sys.argv[1])), port=int(sys.argv[2]), log_level="warning")
