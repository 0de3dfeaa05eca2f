"""The mark in a database that says whose it is: a copy of production must not deliver from anywhere else."""
