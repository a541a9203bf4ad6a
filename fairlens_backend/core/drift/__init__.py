"""Change over time (STATISTICS section 5): one detector a file."""
