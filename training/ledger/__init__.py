"""What `zoo/` holds of trainings, and all that writes there."""
