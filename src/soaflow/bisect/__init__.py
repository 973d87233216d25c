"""Where a candidate begins to differ.

No stage but a tool above them, as the verbs of the command line are: it builds with export and loads with
infer, and none of them knows it.
"""
