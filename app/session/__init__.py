"""One reader's session: cases, language, sign-in."""
