"""Training a student; the loop stands in plain sight in finetune.py."""
