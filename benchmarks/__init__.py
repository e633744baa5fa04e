"""The figures of the local environment: ratios to a floor or a peer that was measured in the same run."""
