"""Processors that call language models."""
