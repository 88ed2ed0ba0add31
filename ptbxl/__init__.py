"""PTB-XL on disk: tables, recordings, signal cache, check and download."""
