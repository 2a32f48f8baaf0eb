"""HTTP: knows requests, routes and replies; knows no clinical meaning."""
