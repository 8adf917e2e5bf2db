"""A goal of a world as one HTML file: gathered from the ledger, then written down."""
