"""``python -m anzol``: the same as the program ``anzol``."""

from anzol.cli import main

if __name__ == "__main__":
    main()
