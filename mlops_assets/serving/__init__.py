"""What stands between pages and the network: who may ask, and how."""
