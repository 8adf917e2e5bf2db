"""What is run: thin, framework-free programs, and the contract they share."""
