"""Does the method work? Its ablations in the simulated town, where truth is known and nobody labelled it."""
