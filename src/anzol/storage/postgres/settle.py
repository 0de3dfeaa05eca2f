"""The end of claims: results written and fenced, leases kept, the dead cleared away."""
