"""This file is `python -m ck_middleware`: the command, where its folder is not on the path."""

import sys

from ck_middleware.cli import main

if __name__ == "__main__":
    sys.exit(main())
