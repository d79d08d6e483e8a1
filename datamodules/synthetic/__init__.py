"""The embedded person: speech, face movements and film with exact ground truth."""
