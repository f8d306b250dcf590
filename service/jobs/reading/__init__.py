"""From the rows of a source to cleaned series, columnar."""
