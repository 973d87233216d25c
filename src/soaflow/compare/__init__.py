"""Every output against its reference: differences, verdicts and their summary. Without torch."""
