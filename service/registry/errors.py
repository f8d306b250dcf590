"""What the models in memory mean to a client that asks too early. The roots are in `service.errors`.

NotReadyError                503      not_ready, load_failed
"""

from model.errors import ArtifactError, ModelError
from service.errors import InvalidRequestError, ServiceError
from service.openapi import RETRY_AFTER, Responses, problem


class NotReadyError(ServiceError):
    """Raised while no model is loaded."""

    status, title, code = 503, "Not ready", "not_ready"


def as_service_error(error: Exception) -> ServiceError:
    """Return what an error of the model means to a client."""
    assert isinstance(error, ModelError)
    if isinstance(error, ArtifactError):
        return NotReadyError("the model cannot be used", code=error.code)
    return InvalidRequestError(str(error), code=error.code)


NOT_FOUND: Responses = {404: problem("No such model is loaded.")}
NOT_READY: Responses = {
    500: problem("The server failed; its log has an entry with the request id."),
    503: problem(
        "No model is loaded yet, the request took too long, or the server is stopping.",
        headers=RETRY_AFTER,
    ),
}
