"""First link of the legacy chain: what people said is filed, numbered where it is not, and put in the order of its session."""
