"""(Method, Clips) -> Results."""
