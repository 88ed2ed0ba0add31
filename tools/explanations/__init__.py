"""What tools/measure_explanations.py measures, a file a subject, and the document it writes."""
