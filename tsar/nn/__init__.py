"""The shared causal transformer and its masks; one device, no input or output."""
