"""Generated 12-lead ECGs with known truth, in PTB-XL's layout."""
