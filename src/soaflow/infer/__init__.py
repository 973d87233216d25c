"""Single-threaded, zero-copy inference jobs that prove what they claim."""
