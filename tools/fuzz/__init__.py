"""Fuzzing: parsers of what comes from outside, under seeded random input."""
