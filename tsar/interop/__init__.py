"""Doors to other libraries, one module a library; each is an extra and imported only when asked for."""
