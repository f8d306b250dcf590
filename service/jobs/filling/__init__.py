"""One chunk, from its series to its part of the output."""
