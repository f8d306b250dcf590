"""Tables of variables: proposed from records, checked after editing, and shown."""
