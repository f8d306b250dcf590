"""The input of a job, sorted by subject and cut into chunks."""
