"""Measurements of the running system against honest peers. Run by hand or by `make bench`, never by the tests."""
