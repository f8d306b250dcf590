"""What the people who run the server need: probes, request ids, one log line a request."""
