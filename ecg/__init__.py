"""What an ECG is: recordings, preprocessing, synthesis. No PyTorch below this package."""
