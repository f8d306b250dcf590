"""The container's health check: asks /health/live and exits with 0 or 1.

Standard library only, no proxy, no redirects: the check must not depend on anything but the server.
It asks whether the process lives; a load balancer asks /health/ready, whether a model is loaded.
"""

import http.client
import os
import sys
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:8000/health/live"
TIMEOUT_SECONDS = 4.0


def check(url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> str | None:
    """Return None when ``url`` answers 200, otherwise what went wrong, in words."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is no number, an unbalanced bracket
        return f"LACUNA_HEALTH_URL must be http://HOST:PORT/PATH, but is {url!r}"
    if parts.scheme != "http" or host is None:
        return f"LACUNA_HEALTH_URL must be http://HOST:PORT/PATH, but is {url!r}"
    connection = http.client.HTTPConnection(host, port, timeout=timeout_seconds)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: no answer ({type(error).__name__}: {error})"
    finally:
        connection.close()
    return None if status == http.client.OK else f"{url}: status {status}, expected 200"


def main() -> int:
    """Check the address in LACUNA_HEALTH_URL, by default port 8000 of this container."""
    problem = check(os.environ.get("LACUNA_HEALTH_URL", DEFAULT_URL))
    print(problem or "live")
    return 0 if problem is None else 1


if __name__ == "__main__":
    sys.exit(main())
