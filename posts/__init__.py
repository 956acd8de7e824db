"""Posts, comments and likes: the available half. A write is accepted into the log and applied by workers."""
