"""The parts of the HTTP server that api.py puts together."""
