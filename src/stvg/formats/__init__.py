"""Files that the toolkit reads and writes: one module a format, all checked against a schema."""
