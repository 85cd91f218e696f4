"""What people say of predictions: corrections, audits, and how well the models do by them."""
