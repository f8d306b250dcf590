"""The one room in which a source becomes observations, with a reason for every row that is not used.

Training, batch jobs and the server read through it, so that a value means the same everywhere. It
stands on `model.data` and pyarrow, and imports nothing else of this project.
"""
