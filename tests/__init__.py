"""The tests; README.md says what each lane may touch."""
