import sys

from dock.engines.edge.server import main

main(sys.argv[1:])
