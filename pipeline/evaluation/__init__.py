"""How good the models are, on films that neither training nor threshold choice saw."""
