"""How good a picture is, beside the true one: its pixels, its silhouette, its kind."""
