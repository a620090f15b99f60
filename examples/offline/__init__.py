"""What the offline provider says, one module a wire shape. Standard library only."""
