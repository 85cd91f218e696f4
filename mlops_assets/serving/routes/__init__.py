"""What is answered under which path, a module a kind; each has `router(service)`."""
