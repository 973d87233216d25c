"""Models, one file each, and how a model is built, its weights stored and its precision chosen."""
