"""Published benchmarks, each with its own scaling, split, masks and averaging, and our row in it."""
