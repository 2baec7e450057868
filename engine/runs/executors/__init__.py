"""What explains shards: this process, its own worker processes, Ray tasks or Dask tasks."""
