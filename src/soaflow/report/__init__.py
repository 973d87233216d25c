"""Pictures and tables for people, made from the files that the other stages wrote."""
