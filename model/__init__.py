"""The model: data rules, solver, latent neural ODE, artifact, predictors.

Imports nothing of ours from outside this package and no web framework. `model.data` is numpy only,
so that training and serving clean a value in the same way without loading a tensor library.
"""
