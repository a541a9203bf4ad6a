"""How sure a figure is: intervals and tests of equality."""
