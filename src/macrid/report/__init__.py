"""Reports that people open: figures and tables in one file each."""
