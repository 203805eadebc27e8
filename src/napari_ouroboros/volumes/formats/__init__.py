"""What the metadata of a volume say: one module for each format, JSON in, levels out."""
