"""The server under a bounded load on loopback, beside the same model in a naive server."""
