"""Request and answer models, one room for each family of endpoints. Pure: they know pydantic, not HTTP."""
