"""Doors: HTTP in, one call of a desk, an envelope out."""
