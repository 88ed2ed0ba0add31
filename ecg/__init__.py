"""What an ECG is: recordings, readers, beats, quality, intervals, drawing, synthesis. No PyTorch here."""
