"""Proves facts about Bazel itself on a scratch copy of the repository."""
