"""What to generate, where it is kept, and how trainers read it.

layout: keys and seeds by hashing | plan: pairs, shard by shard | document: plan.json, the output's
promise | tar: a shard as bytes | provenance: what a JPEG says of itself | commit: first writer
wins | verify: proof against the plan | index: where each picture's bytes are | finalize, card:
what is derived from the tars | takedown: a person leaves | stream: samples in order | order,
fetch, indexed, loaders: samples for training | layouts, export, lint: real sets' folders |
bench: how fast.
"""
