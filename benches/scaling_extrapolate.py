def tables(model): pass
