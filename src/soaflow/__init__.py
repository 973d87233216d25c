"""From a PyTorch model and structure-of-arrays event data to proven inference artifacts."""

__version__ = "0.1.0"
