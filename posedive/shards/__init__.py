"""What to generate, and where it is kept: plans, and tars that are committed once and verified.

layout: keys and seeds by hashing | plan: pairs, shard by shard | document: plan.json, the output's
promise | tar: a shard as bytes | commit: first writer wins | verify: proof against the plan |
stream: samples in order.
"""
