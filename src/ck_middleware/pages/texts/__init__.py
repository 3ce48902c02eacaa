"""This folder is every text that stands on a page for people, one file a language."""
