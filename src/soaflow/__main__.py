"""Run the command line as `python -m soaflow`."""

import sys

from soaflow.cli import main

sys.exit(main())
