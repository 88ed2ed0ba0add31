"""What tools/measure_quality.py measures, a file a subject, and the document it writes."""
