"""`python -m posedive` is `posedive`."""

import sys

from posedive.cli import main

if __name__ == "__main__":
    sys.exit(main())
