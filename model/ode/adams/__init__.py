"""Adams-Bashforth-Moulton methods of variable order and variable step."""
