"""Scripts that Bazel runs as actions."""
