"""Rows: sessions, tables, and one room for each kind of row."""
