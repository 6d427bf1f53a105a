"""The tools that figures are compared with, each run in a folder of its own."""
