"""Predicates of this repository's own, one module a family; docs/guides/predicates.md."""
