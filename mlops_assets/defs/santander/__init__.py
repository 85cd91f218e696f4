"""Customer transactions to come: two hundred unnamed numbers, one customer in ten says yes."""
