"""Training: settings, data, losses, the loop and the learning curve."""
