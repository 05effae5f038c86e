"""One file per part; see `tsar.part`."""
