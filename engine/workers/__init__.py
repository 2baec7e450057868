"""What runs tasks on many samples: this process, its own worker processes, Ray tasks or Dask tasks."""
