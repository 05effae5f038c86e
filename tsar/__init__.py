"""Forecast with one causal transformer core, zero-shot or trained, beside honest classical baselines."""
