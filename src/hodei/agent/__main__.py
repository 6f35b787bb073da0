"""`python -m hodei.agent`: a worker, or with `zygote` the process that forks them."""

import sys

from hodei.agent.main import main
from hodei.agent.program import preload, prepare

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], prepare, preload))
