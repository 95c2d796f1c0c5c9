"""Files -> SourceVideo."""
