"""The page: a file a tab, the sidebar, the paper, sources of ECGs, the monitor, the PDF report."""
