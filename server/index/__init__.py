"""The index: which files count, what units they hold, where those are kept and how they are found."""
