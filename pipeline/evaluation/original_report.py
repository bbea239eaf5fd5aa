"""What the French project report says of its own models; shown beside ours and marked as its own.

Read from the report's tables and confusion matrices (sections "Segmentation d'images", "Modèle CNN
final", "Fine-tuning d'un modèle pré-entraîné"). Its images were split otherwise than ours.
"""

# Counts are true and false positives and negatives of COVID where the report prints a matrix.
REPORT_FIGURES = {
    "unet": {"accuracy": 0.992},
    "light": {
        "tp": 169,
        "fn": 11,
        "fp": 37,
        "tn": 839,
        "sensitivity": 169 / 180,
        "specificity": 839 / 876,
        "accuracy": 1008 / 1056,
    },
    "xception": {"sensitivity": 0.9361, "specificity": 0.9863, "accuracy": 0.9778},
    "cnn1": {"accuracy": 0.87, "sensitivity": 0.72},
    "cnn2": {"sensitivity": 335 / 373, "specificity": 311 / 373, "accuracy": 646 / 746},
}
