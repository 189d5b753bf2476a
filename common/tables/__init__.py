"""Tables: the rows of results.csv, measured, recorded, and shown in the report and in the READMEs."""
