"""Loan applications: labels that are noise, and a gate that sees it."""
