"""Everything that turns the database's films into weights; never imported by the app."""
