"""The tables of what events say beside their decision."""
