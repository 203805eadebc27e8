"""Labels on their way back: stacks of slices from any file or array."""
