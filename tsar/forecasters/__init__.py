"""Forecasters: scikit-learn estimators with one `predict`, classical and neural."""
