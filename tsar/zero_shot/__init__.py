"""The zero-shot network: what it reads, the network itself, its checkpoint, and its quantile function."""
