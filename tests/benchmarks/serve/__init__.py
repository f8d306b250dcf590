"""Our server under a bounded load on loopback, beside two that serve the same model."""
