"""The predicates that every goal can name, one module a family."""
