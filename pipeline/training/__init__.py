"""Everything that turns the database's images into weights; never imported by the app."""
