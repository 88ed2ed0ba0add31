"""How the networks learn and how they are measured."""
