"""Context assembly: units that stay whole, packing under a budget, strategies, receipts."""
