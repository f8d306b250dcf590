"""The model in a process of its own, so that it and HTTP do not take turns for one interpreter."""
