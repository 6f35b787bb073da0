"""What brings workers up and takes them down, one package for each kind of infrastructure."""
