"""What a step costs here and in other programs that run steps."""
