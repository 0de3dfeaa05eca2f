"""Looking: lists in pages, newest first, and single things."""
