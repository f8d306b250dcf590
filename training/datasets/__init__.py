"""Sources of records, one module each, all turned into the MEDS table."""
