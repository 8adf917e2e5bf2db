"""Tools of the repository: the launcher, build scripts, rules, checks."""
