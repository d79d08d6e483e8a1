"""The paper's tables from runs, folders of videos and user studies: `python -m evaluation.tables`."""
