"""HTTP: health for now; REST and the dashboard come to the same listener."""
