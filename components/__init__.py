"""Components: one noun, one file, one Pulumi component. None knows which environment it is in."""
