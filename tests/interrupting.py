"""Commands that a test interrupts."""

INTERRUPTIBLE = ("env", "--default-signal=INT")
"""In front of a command: what a shell starts in the background ignores SIGINT, as do its own children."""
