"""How good the models are, on images that neither training nor threshold choice saw."""
