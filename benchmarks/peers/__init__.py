"""Ways to do the work of a day: ours, those of other tools, and the floor; each is one module with `main`."""
