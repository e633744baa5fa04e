"""The procedures of the runbooks with ordinary tools, for the night when the store of runs is down."""
