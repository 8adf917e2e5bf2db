"""Simulators of outside systems: the real interface, and told to fail."""
