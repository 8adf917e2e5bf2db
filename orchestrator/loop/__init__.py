"""The one loop: propose, admit, execute, settle."""
