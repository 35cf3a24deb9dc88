"""What of the method counts for how much: its ablation in simulated towns, whose truth is exact."""
