"""ECGs on millimetre paper: layout (geometry), draw (matplotlib), interactive (Plotly)."""
