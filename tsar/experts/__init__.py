"""Cheap classical forecasts of many series at once: linear filters and least squares as matrix products.

Every expert maps a `Series` (left-aligned, filled) and origins [B, R] to forecasts [B, R, H]; asking several origins
costs little more than one, which gives a back-test of every expert for free. `bank.experts` computes all of them.
"""
