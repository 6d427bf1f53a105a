"""Ends the program that imports it."""

import sys

sys.exit("this plugin wants no guests")
