"""The documentation as a site: pages of `docs` and what is made of the code, built by Zensical; `make docs`."""
