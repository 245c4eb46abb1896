"""Models of Llama's shape as plain tensors: a dense frozen base with the adapter beside it, trained and decoded from.

model.py         the tensors
linears.py       projections that read the same input as one product, with their adapters
forward.py       the training forward pass, without padding; a group's prompt is computed once
attention.py     attention of both passes
autograd_ops.py  the differentiable pieces of a layer
half_sums.py     products of the update in float16 throughout, for cards that halve their rate else
decoder.py       a token of every sequence at a time
between.py       what it computes between the products, compiled on a card
cache.py         the keys and values that a decode step reads
trial.py         which way of multiplying is the faster one on a card
cuda_graphs.py   the kernels of a decode step launched as one, on a card
"""
