"""Counts acceptance rows: proved, due, in all."""
