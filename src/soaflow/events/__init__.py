"""Event sources: settings of datasets, generators and readers, and the writer of shards."""
