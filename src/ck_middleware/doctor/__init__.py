"""This folder is what `ck-middleware doctor` looks at: one file for each part of the world that a login needs."""
