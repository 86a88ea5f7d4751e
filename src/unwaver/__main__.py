"""`python -m unwaver`: the command line, by the Python at hand."""

import sys

from unwaver.cli import main

sys.exit(main())
