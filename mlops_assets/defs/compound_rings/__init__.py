"""Drawings of molecules: how many rings they have, told from the picture alone."""
