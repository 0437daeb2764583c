"""The standing rules, one module each; `table.py` lists them."""
