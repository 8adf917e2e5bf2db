"""Everything that is known: artifacts at canonical paths."""
