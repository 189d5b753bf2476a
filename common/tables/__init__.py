"""Tables: results.csv, one run of a row, all rows measured, the report page, README pictures."""
