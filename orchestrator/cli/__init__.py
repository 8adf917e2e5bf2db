"""One thin file per command: flags, exit codes, nothing else."""
