"""What the endpoints that run the model may answer with, for the OpenAPI document."""

from service.openapi import RETRY_AFTER, Responses, problem
from service.registry.errors import NOT_READY

PROBLEM_RESPONSES: Responses = {
    400: problem("The body is not JSON."),
    408: problem("The body did not end in time."),
    413: problem("The body, or what it asks for, is beyond a limit."),
    415: problem("The body does not call itself JSON, or is compressed."),
    422: problem("The body has not the documented form, or none of its series can be answered."),
    429: problem("As many requests are waiting as the server allows.", headers=RETRY_AFTER),
    **NOT_READY,
}
