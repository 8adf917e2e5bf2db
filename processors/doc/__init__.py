"""Processors that read documents."""
