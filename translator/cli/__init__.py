"""The command line: one file a command; parse, call one front door, print."""
