"""Jobs over HTTP: /v1/jobs."""
