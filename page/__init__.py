"""What the page shows, without Streamlit: sources of ECGs, words and bars, the report, the monitor, the browser."""
