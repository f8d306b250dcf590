"""The doors need a model behind them: the tiny artifact, and one server for all tests."""

from tests.service.conftest import client, predictor

__all__ = ["client", "predictor"]
