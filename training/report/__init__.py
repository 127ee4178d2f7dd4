"""`python -m training.report`: what the zoo has measured, as a page for a browser."""
