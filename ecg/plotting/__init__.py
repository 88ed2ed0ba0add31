"""ECGs on millimetre paper: layout, drawing, the interactive view."""
