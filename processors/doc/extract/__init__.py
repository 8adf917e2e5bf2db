"""A document to clean Markdown text."""
