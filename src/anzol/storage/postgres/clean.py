"""Housekeeping in bounded pieces: what has ended and is old goes, what waits for nobody is cancelled."""
