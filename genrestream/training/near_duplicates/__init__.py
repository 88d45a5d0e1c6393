"""Groups joined over what is nearly the same item: see `clusters`."""

from genrestream.training.near_duplicates.clusters import Clusters, find_clusters

__all__ = ["Clusters", "find_clusters"]
