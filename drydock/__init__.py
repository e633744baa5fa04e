"""The `drydock` command: thin, and the only package that may import all the others."""
