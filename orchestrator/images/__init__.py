"""Registries and, later, the images they pin."""
