"""`python -m fairlens_backend` is the command `fairlens`."""

import sys

from fairlens_backend.cli import main

sys.exit(main())
