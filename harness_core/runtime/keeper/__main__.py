"""Start the keeper: ``python -I -S <this file> --dir DIR``."""

import importlib
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
# isolated from site-packages and from the daemon's packages, whose parents import much more; behind the standard
# library, so that nothing in that folder can take a module's place
sys.path.append(os.path.dirname(_HERE))

sys.exit(importlib.import_module(f"{os.path.basename(_HERE)}.server").main())
