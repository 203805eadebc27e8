"""The demo: a phantom nerve with known truth, straightened, segmented, brought home, compared."""
