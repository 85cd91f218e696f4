"""What people see in a browser: templates, charts, and single files of them."""
