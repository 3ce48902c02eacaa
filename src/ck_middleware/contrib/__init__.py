"""This file is a shelf: what single frameworks need beyond the contract, a file for each, for their apps to import."""
