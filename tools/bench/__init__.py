"""Benchmarks: ratios, measured by command and never asserted in a test."""
