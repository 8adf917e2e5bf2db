"""Runs the linters that are tests."""
