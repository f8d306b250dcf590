"""What the endpoints of jobs take and may answer with, for the OpenAPI document."""

from typing import Any

from service.jobs.request import JobRequest
from service.openapi import FORM_MEDIA_TYPE, RETRY_AFTER, Responses, problem, reference
from service.registry.errors import NOT_READY

JOB_RESPONSES: Responses = {
    400: problem("The form or a parameter is not what was asked for."),
    404: problem("There is no such job or part, or the server takes no jobs."),
    408: problem("The body did not end in time."),
    409: problem("The job is in another state."),
    410: problem("The job was deleted, or the files of a part were lost."),
    413: problem("The upload is beyond a limit."),
    415: problem("The body is not a form, or is compressed as a whole."),
    422: problem("The request or a parameter has not the documented form."),
    507: problem("The disk of the jobs is full."),
    **NOT_READY,
    503: problem(
        "The database of the jobs does not answer, no model is loaded yet, or the server is stopping.",
        headers=RETRY_AFTER,
    ),
}


def job_form() -> dict[str, Any]:
    """Return what the endpoint that streams a form adds to its operation."""
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    schema = {
        "type": "object",
        "required": ["request", "input"],
        "properties": {
            "request": reference(JobRequest),
            "input": {**file, "description": "The table, in the format that `request` names."},
            "times": {**file, "description": "Query times, where `fill` is a `times_table`."},
        },
    }
    return {"requestBody": {"required": True, "content": {FORM_MEDIA_TYPE: {"schema": schema}}}}
