"""`python -m jaxrl` is `jaxrl`."""

import sys

from jaxrl.cli import main

sys.exit(main())
