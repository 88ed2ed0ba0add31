"""How the networks learn: loop, objective, schedule, augmentation, command line."""
