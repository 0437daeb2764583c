"""Faults in time: injecting, observing, clearing, and the journal that undoes them."""
