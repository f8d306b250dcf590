"""A request is answered in parts whose memory is bounded, and nobody's answer is lost or moved."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.artifact import Artifact
from model.data.series import Series
from model.runtime.decoding import NUM_DRAWS
from model.runtime.predictor import Prediction, Request
from service.inference.asking import Options, Question, ask

# Two kilobytes an hour and draw, one a sample: no part takes more than some 120 MB.
MOST_DRAWN_HOURS, MOST_SAMPLES = 60_000, 60_000


@dataclass(frozen=True)
class EchoingPredictor:
    """Answers every query with its own time, and keeps what it was asked."""

    asked: list[Request] = field(default_factory=list)

    @property
    def artifact(self) -> Artifact:
        raise NotImplementedError

    def predict(self, request: Request) -> Prediction:
        self.asked.append(request)
        times = request.query.times_hours[request.query.points_of_queries]
        nothing = np.zeros_like(times)
        return Prediction(
            mean=times,
            latent_variance=nothing,
            observation_variance=nothing,
            quantiles=times[None],
            samples=np.tile(times, (request.num_samples, 1)),
            support=nothing.astype(np.int64),
            held_out_subjects=nothing.astype(np.int64),
            is_uninformative=nothing.astype(bool),
            out_of_distribution=np.zeros(len(request.context)),
        )


def question(last_hours: float, query_hours: list[float], num_channels: int) -> Question:
    context = Series(
        "p", np.array([0.0, last_hours]), np.array([14, 14]), np.array([80.0, 90.0]), np.empty(0)
    )
    return Question(context, np.array(query_hours), np.arange(num_channels))


QUESTIONS = st.builds(
    question,
    st.floats(1, 500),
    st.lists(st.floats(-160, 660), min_size=1, max_size=30),
    st.integers(1, 3),
)


@given(questions=st.lists(QUESTIONS, min_size=1, max_size=64), num_samples=st.integers(0, 200))
def test_every_part_is_bounded_and_every_answer_is_at_its_place(
    questions: list[Question], num_samples: int
) -> None:
    predictor = EchoingPredictor()
    answers = ask(predictor, questions, Options((0.5,), num_samples, 0))
    for answer, asked in zip(answers, questions, strict=True):
        expected = np.repeat(asked.times_hours, len(asked.channels))
        np.testing.assert_array_equal(answer.mean, expected)
    remaining = iter(questions)
    for request in predictor.asked:
        part = [next(remaining) for _ in range(len(request.context))]
        hours = max(one.span_hours for one in part)
        if len(part) > 1:
            assert hours * len(part) * (num_samples + NUM_DRAWS) <= MOST_DRAWN_HOURS
            assert request.query.num_queries * num_samples <= MOST_SAMPLES
