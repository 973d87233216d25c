"""From a trained model to its program (torch.export) and its artifacts (TorchScript, AOTInductor)."""
